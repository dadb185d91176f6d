"""TLS in: STARTTLS and implicit, certificates by name and by reload, clients, what is refused, and what a scanner sees."""
import pathlib
import re
import shutil
import smtplib
import socket
import ssl
import subprocess

from harness import SLOW, Gate, Raw, Sink, Skipped, folder, free_port, until

SETTINGS = """
return { hostname = "mx.example.com", control = env("MOONGATE_CONTROL"), spool = env("MOONGATE_SPOOL"), domains = { "example.com" },
	relay = { domains = { "example.com" }, to = env("MOONGATE_NEXT_HOP") }, store = { reserve = 0 }, retry = { first = "1s" },
	policy = env("MOONGATE_POLICY"),
	listen = {
		{ address = env("MOONGATE_LISTEN"), name = "mx" },
		{ address = "127.0.0.1:" .. env("SMTPS"), name = "smtps", tls = "implicit" },
		{ address = "127.0.0.1:" .. env("REQUIRED"), name = "required", tls = "required", tls_floor = "1.3" },
		{ address = "127.0.0.1:" .. env("CLIENTS"), name = "clients", tls = "required", client_certificates = "require" },
		{ address = "127.0.0.1:" .. env("CURIOUS"), name = "curious", client_certificates = "request" },
		{ address = "127.0.0.1:" .. env("PLAIN"), name = "plain", tls = "off" },
	},
	tls = { certificates = { { cert = "mx.pem", key = "mx.key" }, { cert = "other.pem", key = "other.key" } }, authorities = "ca.pem" },
	timeouts = { handshake = "2s" } }
"""
POLICY = """
local gate = require "moongate"
gate.on("tls", { name = "look" }, function(conn)
	conn.vars.tls = conn.tls.version .. " " .. (conn.tls.name or "-") .. " helo " .. tostring(conn.helo)
	local c = conn.tls.certificate
	if c then conn.vars.who = c.subject .. " " .. tostring(c.is_verified) end
	if conn.tls.name == "refused.example" then return gate.reject(554, "5.7.1", "not you") end
end)
gate.on("mail", { name = "sender" }, function(tx)
	if tx.sender_localpart == "plain" and tx.conn.tls then return gate.reject(550, "5.7.1", "that came through TLS") end
end)
gate.on("message", { name = "tell" }, function(tx)
	if tx.conn.vars.tls then tx:add_header("X-TLS", tx.conn.vars.tls) end
	if tx.conn.vars.who then tx:add_header("X-Who", tx.conn.vars.who) end
end)
"""
PORTS = ("SMTPS", "REQUIRED", "CLIENTS", "CURIOUS", "PLAIN")


def openssl(*words, **options):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, timeout=60 * SLOW, **options)
    return done.returncode, done.stdout + done.stderr


def certificate(at, name, names, days=30, by=None):
    """name.pem and name.key in the folder, signed by itself or by another."""
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at / f"{name}.key",
             "-out", at / f"{name}.pem", "-days", days, "-subj", f"/CN={name}"]
    if by:
        words += ["-CA", at / f"{by}.pem", "-CAkey", at / f"{by}.key"]
    code, out = openssl(*words, "-addext", f"subjectAltName={names}")
    assert code == 0, out
    (at / f"{name}.key").chmod(0o644)           # a reload reads it as the user of the roles


def gate(sink, policy=POLICY, settings=SETTINGS, **more):
    at = folder()
    certificate(at, "mx", "DNS:mx.example.com")
    certificate(at, "other", "DNS:*.example.net")
    certificate(at, "ca", "DNS:ca.example")
    certificate(at, "friend", "DNS:friend.example", by="ca")
    certificate(at, "stranger", "DNS:stranger.example")
    ports = {name: free_port() for name in PORTS}
    g = Gate(sink.address, settings=settings, policy=policy, at=at, **ports, **more)
    g.ports = ports
    return g


def trusting(at=None, cert=None):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(at / f"{cert}.pem", at / f"{cert}.key")
    return context


def secured(port, context=None, name="mx.example.com"):
    """A Raw client behind STARTTLS, before its second EHLO."""
    raw = Raw(port)
    code, text = raw.say("STARTTLS")
    assert code == 220, text
    raw.file.close()
    raw.socket = (context or trusting()).wrap_socket(raw.socket, server_hostname=name)
    raw.file = raw.socket.makefile("rb")
    return raw


def shown(raw):
    return ssl.DER_cert_to_PEM_cert(raw.socket.getpeercert(binary_form=True))


def send(raw, sender="a@example.org"):
    for line, want in ((f"EHLO client.example", 250), (f"MAIL FROM:<{sender}>", 250), ("RCPT TO:<r@example.com>", 250), ("DATA", 354)):
        code, text = raw.say(line)
        assert code == want, f"{line}: {text}"
    code, text = raw.say("Subject: x\r\n\r\nhello\r\n.")
    assert code == 250, text


def metric(g, name):
    return sum(int(v) for v in re.findall(rf"^moongate_{name}(?:\{{.*\}})? (\d+)$", g.cli("metrics").stdout, re.M))


def test_a_message_comes_through_starttls_and_tells_how():
    with Sink() as sink, gate(sink) as g:
        with secured(g.port) as raw:
            send(raw)
            assert raw.say("QUIT")[0] == 221
        _, _, message = sink.wait(1)[0]
        assert b"with ESMTPS id " in message and b"(version=TLSv1.3 cipher=TLS_" in message, message
        assert b"X-TLS: TLSv1.3 mx.example.com helo nil\r\n" in message, message
        session = until(lambda: g.events("session"), "the session's event")[0]
        assert session["tls"]["version"] == "TLSv1.3" and session["tls"]["name"] == "mx.example.com", session
        assert g.events("message")[0]["tls"] == "TLSv1.3"
        assert metric(g, "tls_handshakes_total") == 1 and metric(g, "tls_v13_total") == 1


def test_implicit_tls_greets_behind_the_handshake():
    with Sink() as sink, gate(sink) as g:
        with smtplib.SMTP_SSL("127.0.0.1", g.ports["SMTPS"], context=trusting(), timeout=20 * SLOW) as client:
            assert "starttls" not in client.esmtp_features
            client.sendmail("a@example.org", ["r@example.com"], "Subject: x\r\n\r\nhello\r\n")
        with Raw(g.ports["SMTPS"], greet=False) as raw:
            raw.send(b"EHLO client.example\r\n")
            assert b"220" not in raw.file.read(), "plain text was answered"
        assert b"ESMTPS" in sink.wait(1)[0][2]
        until(lambda: metric(g, "tls_failed_no_tls_total") == 1, "it is counted")
        assert any(e["end"] == "tls failed" and "not TLS" in e["reply"] for e in g.events("session")), g.events("session")


def test_what_stands_behind_starttls_is_not_believed():
    with Sink() as sink, gate(sink) as g:
        with Raw(g.port) as raw:
            raw.send(b"STARTTLS\r\nEHLO evil.example\r\n")
            code, text = raw.reply()
            assert code == 554 and "behind STARTTLS" in text, text
            assert raw.is_closed()
        with Raw(g.port) as raw:
            raw.send(b"STARTTLS\r\n")
            assert raw.reply()[0] == 220
            raw.send(b"MAIL FROM:<evil@example.org>\r\n")
            assert raw.file.read()[:1] in (b"", b"\x15"), "more than an alert"
        assert metric(g, "tls_injected_total") == 1
        assert g.events("message") == []


def test_what_was_said_before_is_forgotten():
    with Sink() as sink, gate(sink) as g, secured(g.port) as raw:
        assert raw.say("MAIL FROM:<a@example.org>")[0] == 503
        _, text = raw.say("EHLO client.example")
        assert "STARTTLS" not in text, text
        assert raw.say("STARTTLS")[0] == 503
        assert raw.say("MAIL FROM:<plain@example.org>")[0] == 550


def test_listeners_say_what_they_want():
    with Sink() as sink, gate(sink) as g:
        with Raw(g.ports["PLAIN"]) as raw:
            assert "STARTTLS" not in raw.say("EHLO client.example")[1]
            assert raw.say("STARTTLS")[0] == 502
        with Raw(g.ports["REQUIRED"]) as raw:
            code, text = raw.say("MAIL FROM:<a@example.org>")
            assert code == 530 and "STARTTLS" in text, text
        with secured(g.ports["REQUIRED"]) as raw:
            send(raw)
        old = trusting()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with secured(g.port, old) as raw:
            send(raw)
        try:
            secured(g.ports["REQUIRED"], old)
            raise AssertionError("TLS 1.2 below a floor of 1.3")
        except ssl.SSLError:
            pass
        until(lambda: metric(g, "tls_failed_version_total") == 1, "it is counted")


def test_policy_refuses_behind_the_handshake():
    with Sink() as sink, gate(sink) as g, secured(g.port, name="refused.example") as raw:
        code, text = raw.say("EHLO client.example")
        assert code == 554 and "not you" in text, text
        assert raw.say("QUIT")[0] == 221


def test_the_name_chooses_the_certificate():
    with Sink() as sink, gate(sink) as g:
        for name, file in (("mx.example.com", "mx"), ("a.example.net", "other"), ("a.b.example.net", "mx"), ("nobody.example", "mx")):
            with secured(g.port, name=name) as raw:
                assert shown(raw) == (g.dir / f"{file}.pem").read_text(), name


def test_clients_are_known_by_their_certificates():
    with Sink() as sink, gate(sink) as g:
        for port, cert, who in (("CURIOUS", "friend", b"CN=friend true"), ("CURIOUS", "stranger", b"CN=stranger false"),
                                ("CURIOUS", None, None), ("CLIENTS", "friend", b"CN=friend true")):
            before = len(sink.messages)
            with secured(g.ports[port], trusting(g.dir, cert)) as raw:
                send(raw)
            message = sink.wait(before + 1)[before][2]
            assert (b"X-Who: " + who in message) if who else b"X-Who" not in message, message
        for cert in ("stranger", None):
            try:
                with secured(g.ports["CLIENTS"], trusting(g.dir, cert)) as raw:
                    raw.say("EHLO client.example")
                raise AssertionError(f"{cert} came in")
            except (ssl.SSLError, EOFError, ConnectionError):
                pass
        until(lambda: metric(g, "tls_failed_certificate_total") == 2, "both are counted")


def test_a_reload_changes_the_certificate_under_open_sessions():
    with Sink() as sink, gate(sink) as g:
        first = (g.dir / "mx.pem").read_text()
        with secured(g.port) as before, Raw(g.port) as undecided:
            assert shown(before) == first
            assert "nothing has changed" in g.cli("reload").stdout
            certificate(g.dir, "mx", "DNS:mx.example.com")
            assert "is active" in g.cli("reload").stdout
            send(before)
            assert undecided.say("STARTTLS")[0] == 220
            with trusting().wrap_socket(undecided.socket) as late:
                assert ssl.DER_cert_to_PEM_cert(late.getpeercert(binary_form=True)) == (g.dir / "mx.pem").read_text() != first
        key = (g.dir / "mx.key").read_text()
        (g.dir / "mx.key").write_text((g.dir / "other.key").read_text())
        done = g.cli("reload", check=False)
        assert done.returncode == 78 and "the key does not belong to the certificate" in done.stdout + done.stderr, done
        with secured(g.port) as raw:
            send(raw)
        (g.dir / "mx.key").write_text(key)
        (g.dir / "moongate.lua").write_text(SETTINGS.replace('name = "mx" }', 'name = "front" }'))
        g.cli("reload")
        with secured(g.port) as raw:            # the same socket, by another name, speaks TLS all the same
            send(raw)


def test_private_keys_are_nowhere_but_in_the_edges():
    with Sink() as sink, gate(sink) as g:
        secret = (g.dir / "mx.key").read_bytes().splitlines()[1]
        for (name, _), pid in g.pids().items():
            for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                try:
                    if "moongate-snapshot" in str(link.readlink()):
                        assert secret not in link.read_bytes(), name
                except OSError:
                    continue
        assert secret not in g.events_path.read_bytes() + g.errors_path.read_bytes()


def test_a_ticket_is_good_at_its_listener_alone():
    with Sink() as sink, gate(sink) as g:
        for version in ("-tls1_2", "-tls1_3"):
            session = g.dir / "session"
            common = ("s_client", "-starttls", "smtp", "-crlf", version, "-ign_eof", "-servername", "mx.example.com")
            talk = {"input": b"EHLO client.example\r\nQUIT\r\n"}
            _, out = openssl(*common, "-connect", f"127.0.0.1:{g.port}", "-sess_out", session, **talk)
            assert b"New, TLS" in out, out
            _, out = openssl(*common, "-connect", f"127.0.0.1:{g.port}", "-sess_in", session, **talk)
            assert b"Reused, TLS" in out, out
            _, out = openssl(*common, "-connect", f"127.0.0.1:{g.ports['CURIOUS']}", "-sess_in", session, **talk)
            assert b"New, TLS" in out and b"Reused" not in out, out
        assert metric(g, "tls_resumed_total") == 2


def test_a_handshake_that_stalls_ends_by_its_deadline():
    with Sink() as sink, gate(sink) as g:
        with Raw(g.port) as raw, socket.create_connection(("127.0.0.1", g.ports["SMTPS"]), timeout=20 * SLOW) as silent:
            assert raw.say("STARTTLS")[0] == 220
            raw.send(b"\x16\x03\x01")
            assert raw.file.read() == b"", "a word in plain text"
            assert silent.recv(100) == b""
        until(lambda: metric(g, "tls_failed_timeout_total") == 2, "both are counted")


def test_a_certificate_that_ends_soon_is_told():
    with Sink() as sink:
        g = gate(sink)
        certificate(g.dir, "other", "DNS:*.example.net", days=5)
        done = g.cli("check")
        assert re.search(r"moongate\.lua:\d+:\d+: note: tls\.certificates: .*other\.pem expires within \d days", done.stdout + done.stderr), done
        with g:
            event = until(lambda: g.events("tls.certificate_ends"), "an event")[0]
            assert event["certificate"] == 2 and event["name"] == "*.example.net" and event["seconds"] < 5 * 86400, event
            assert 4 * 86400 < metric(g, "tls_certificate_seconds") <= 5 * 86400


def test_real_clients_speak_it():
    with Sink() as sink, gate(sink) as g:
        with g.smtp() as client:
            client.starttls(context=trusting())
            client.sendmail("a@example.org", ["r@example.com"], "Subject: smtplib\r\n\r\nhello\r\n")
        sent = 1
        if shutil.which("swaks"):
            for how in ([f"127.0.0.1:{g.port}", "--tls"], [f"127.0.0.1:{g.ports['SMTPS']}", "--tls-on-connect"]):
                done = subprocess.run(["swaks", "--from", "a@example.org", "--to", "r@example.com", "--server", *how],
                                      capture_output=True, timeout=60 * SLOW)
                assert done.returncode == 0, done.stdout
                sent += 1
        assert all(b"ESMTPS" in m for _, _, m in sink.wait(sent))


def test_a_scanner_sees_only_what_is_modern():
    if not shutil.which("sslscan"):
        raise Skipped("sslscan is not on this machine")
    with Sink() as sink, gate(sink) as g:
        for words in (["--starttls-smtp", f"127.0.0.1:{g.port}"], [f"127.0.0.1:{g.ports['SMTPS']}"]):
            out = subprocess.run(["sslscan", "--no-colour", *words], capture_output=True, timeout=240 * SLOW).stdout.decode()
            for old in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
                assert re.search(rf"{re.escape(old)}\s+disabled", out), out
            for new in ("TLSv1.2", "TLSv1.3"):
                assert re.search(rf"{re.escape(new)}\s+enabled", out), out
            assert "Session renegotiation not supported" in out and "Compression enabled" not in out, out
            ciphers = re.findall(r"^(?:Preferred|Accepted)\s+(\S+)\s+\d+ bits\s+(\S+)", out, re.M)
            assert ciphers, out
            for version, cipher in ciphers:
                aead = "GCM" in cipher or "CHACHA20" in cipher
                assert aead and (version == "TLSv1.3" or cipher.startswith("ECDHE-")), out
