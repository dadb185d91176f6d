"""Real clients and servers on the other side: swaks in; a private Postfix and a private Dovecot (LMTP) out (Shown by 3).

smtp-source in and smtp-sink out carry the load of test_reload.
"""
import contextlib
import email
import os
import pathlib
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess

from harness import SLOW, Gate, Sink, Skipped, folder, free_port, strip_trace, until

MESSAGE = (b"From: a@client.example\r\nTo: b@example.com\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nX-Folded: one\r\n\ttwo\r\n\r\n"
           b".a dot\r\n..two\r\n\tspace at the end \r\n8 bit: \xc3\xbc\xff\r\n\r\nFrom the start\r\n")
LARGE = b"Subject: large\r\n\r\n" + b"".join(b"%070d\r\n" % n for n in range(20000))                     # 1.4 MiB: streams from a slot

SETTINGS = """
return { hostname = "mx.example.com", listen = { env("MOONGATE_LISTEN") }, control = env("MOONGATE_CONTROL"), spool = env("MOONGATE_SPOOL"),
	domains = { "example.com" }, relay = { domains = { "example.com" }, to = %(hop)s }, retry = { first = "1s", longest = "2s" } }
"""


def tool(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/lib/dovecot")
    if not path:
        raise Skipped(f"no {name} on this machine")
    return path


def as_root():
    if os.geteuid() != 0:
        raise Skipped("a private mail server needs root to start")


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as s:
        return s.recv(3) == b"220"


def delivered(gate, outcome):
    return [e for e in gate.events("delivery") if e["outcome"] == outcome]


def send(gate, to, message=MESSAGE, sender="a@client.example"):
    with gate.smtp() as client:
        client.sendmail(sender, to, message, mail_options=["BODY=8BITMIME"])


# ---- swaks ---------------------------------------------------------------------------------------


def swaks(gate, *options):
    return subprocess.run([tool("swaks"), "--server", f"127.0.0.1:{gate.port}", "--helo", "swaks.example", "--from", "a@client.example",
                           *options], capture_output=True, text=True, timeout=60 * SLOW, stdin=subprocess.DEVNULL)


def test_swaks_sends_plain_pipelined_and_with_attachment():
    at = folder()
    attachment = at / "picture.bin"
    attachment.write_bytes(bytes(range(256)) * 300)
    with Sink() as sink, Gate(sink.address) as gate:
        for number, options in enumerate(([], ["--pipeline"], ["--protocol", "SMTP"], ["--attach", f"@{attachment}"]), 1):
            done = swaks(gate, "--to", "b@example.com,c@example.com", "--header", "Subject: by swaks", *options)
            assert done.returncode == 0, done.stdout + done.stderr
            sender, rcpts, body = sink.wait(number)[-1]
            assert (sender, rcpts) == ("a@client.example", ["b@example.com", "c@example.com"])
            message = email.message_from_bytes(body)
            assert message["Subject"] == "by swaks"
        parts = {part.get_filename(): part.get_payload(decode=True) for part in message.walk()}
        assert parts[attachment.name] == attachment.read_bytes()
        assert "SMTP id" in email.message_from_bytes(sink.messages[2][2])["Received"]           # HELO: not ESMTP
    shutil.rmtree(at)


def test_swaks_hears_the_refusal():
    with Gate() as gate:
        done = swaks(gate, "--to", "b@elsewhere.example", "--quit-after", "RCPT")
        assert done.returncode == 24 and "550 5.7.1" in done.stdout, done.stdout


# ---- Postfix -------------------------------------------------------------------------------------

MAIN_CF = """compatibility_level = 3.6
queue_directory = {at}/queue
data_directory = {at}/data
maillog_file = {at}/maillog
maillog_file_prefixes = {at}
myhostname = next.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
message_size_limit = 100000000
relay_domains = example.com
relay_transport = smtp:[127.0.0.1]:{sink}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ gone@example.com = 550 5.1.1 gone for ever }} {{ later@example.com = 450 4.2.0 come again }} }}
"""
MASTER_CF = """127.0.0.1:{port} inet n - n - 50 smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A private instance in a folder of its own, which relays to a sink."""

    def __init__(self, sink):
        as_root()
        self.postfix = tool("postfix")
        self.at = folder()
        self.etc = self.at / "etc"
        self.port = free_port()
        os.chmod(self.at, 0o755)
        self.etc.mkdir()
        (self.at / "queue").mkdir()
        (self.etc / "main.cf").write_text(MAIN_CF.format(at=self.at, sink=sink.port))
        (self.etc / "master.cf").write_text(MASTER_CF.format(port=self.port))

    def log(self):
        path = self.at / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self):
        subprocess.run([self.postfix, "-c", self.etc, "start"], check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        until(lambda: listens(self.port), f"Postfix listens: {self.log()}", 20)
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log()[-3000:])
        pid = int((self.at / "queue" / "pid" / "master.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "Postfix ends", 20)
        shutil.rmtree(self.at, ignore_errors=True)


def test_postfix_as_next_hop_gets_every_byte():
    with Sink() as sink, Postfix(sink) as postfix, Gate(f"127.0.0.1:{postfix.port}") as gate:
        for number, message in enumerate((MESSAGE, LARGE), 1):
            send(gate, ["b@example.com", "c@example.com"], message)
            sender, rcpts, body = sink.wait(number, 30)[-1]
            assert (sender, sorted(rcpts)) == ("a@client.example", ["b@example.com", "c@example.com"])
            # Postfix keeps the bytes, but adds what a message lacks
            assert strip_trace(body).endswith(message.split(b"\r\n\r\n", 1)[1]) and b"by mx" not in body.split(b"\r\n\r\n", 1)[1]
            assert body.count(b"\r\nReceived: ") + body.startswith(b"Received: ") == 2
        send(gate, ["b@example.com"], b"Subject: null\r\n\r\nx\r\n", "")
        assert sink.wait(3, 30)[-1][0] == ""
        until(lambda: gate.status()["queued"] == 0, "nothing is left")


def test_postfix_refuses_some_recipients_and_the_others_are_delivered():
    with Sink() as sink, Postfix(sink) as postfix, Gate(f"127.0.0.1:{postfix.port}", MOONGATE_RETRY="1h") as gate:
        send(gate, ["one@example.com", "gone@example.com", "later@example.com", "two@example.com"])
        assert sink.wait(1, 30)[0][1] == ["one@example.com", "two@example.com"]
        until(lambda: len(gate.events("delivery")) >= 4, "four outcomes")
        outcomes = {e["rcpt"]: (e["outcome"], e["status"]) for e in gate.events("delivery") if e["rcpt"] != "a@client.example"}
        assert outcomes["gone@example.com"] == ("failed", "5.1.1") and outcomes["later@example.com"] == ("deferred", "4.2.0"), outcomes
        assert {outcomes["one@example.com"][0], outcomes["two@example.com"][0]} == {"delivered"}
        left = [m for m in gate.json("queue", "list") if m["left"] == 1 and m["recipients"] == 4]
        assert len(left) == 1, "the one that comes again waits alone"
        shown = gate.json("queue", "show", f"{left[0]['id']}.{left[0]['variant']}")[0]["recipients"]
        assert [r["state"] for r in shown].count("waiting") == 1, shown


# ---- Dovecot -------------------------------------------------------------------------------------

DOVECOT = """
base_dir = {at}/run
state_dir = {at}/state
log_path = {at}/log
protocols = lmtp
ssl = no
mail_location = maildir:{at}/mail/%n
first_valid_uid = 1
lmtp_rcpt_check_quota = no
service lmtp {{
	inet_listener lmtp {{
		address = 127.0.0.1
		port = {port}
	}}
	unix_listener {at}/lmtp.sock {{
		mode = 0666
	}}
}}
userdb {{
	driver = passwd-file
	args = username_format=%u {at}/users
}}
passdb {{
	driver = passwd-file
	args = username_format=%u {at}/users
}}
"""


class Dovecot:
    """A private instance: LMTP on TCP and on a socket, Maildirs, two users."""

    def __init__(self):
        as_root()
        self.dovecot = tool("dovecot")
        tool("lmtp")
        self.at = folder()
        self.port = free_port()
        nobody = pwd.getpwnam("nobody")
        for name in ("run", "state", "mail"):
            (self.at / name).mkdir()
        os.chown(self.at / "mail", nobody.pw_uid, nobody.pw_gid)
        (self.at / "users").write_text("".join(
            f"{name}@example.com:{{PLAIN}}x:{nobody.pw_uid}:{nobody.pw_gid}::{self.at}/mail/{name}::\n" for name in ("b", "c")))
        (self.at / "dovecot.conf").write_text(DOVECOT.format(at=self.at, port=self.port))

    def log(self):
        path = self.at / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def mail(self, name):
        return sorted((self.at / "mail" / name / "new").glob("*"))

    def __enter__(self):
        with open(self.at / "out", "wb") as out:
            self.process = subprocess.Popen([self.dovecot, "-F", "-c", self.at / "dovecot.conf"], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT)
        until(lambda: listens(self.port) or self.process.poll() is not None, "Dovecot listens", 20)
        assert self.process.poll() is None, (self.at / "out").read_text() + self.log()
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log()[-3000:])
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.at, ignore_errors=True)


def over_lmtp(dovecot, hop):
    with Gate(settings=SETTINGS % {"hop": f'"{hop}"'}) as gate:
        for number, message in enumerate((MESSAGE, LARGE), 1):
            send(gate, ["b@example.com", "nobody@example.com", "c@example.com"], message)
            for name in ("b", "c"):
                path = until(lambda: len(dovecot.mail(name)) == number and dovecot.mail(name), f"mail for {name}: {dovecot.log()}", 30)  # noqa: B023
                got = max(path, key=lambda p: p.stat().st_mtime_ns).read_bytes()
                assert b"Return-Path: <a@client.example>" in got
                assert strip_trace(got.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")) == message
        until(lambda: len(delivered(gate, "failed")) >= 2, "the third recipient is refused")
        assert {(e["rcpt"], e["status"]) for e in delivered(gate, "failed") if "nobody" in e["rcpt"]} == {("nobody@example.com", "5.1.1")}
        assert {e["rcpt"] for e in delivered(gate, "delivered")} == {"b@example.com", "c@example.com"}


def test_dovecot_takes_lmtp_over_tcp_and_answers_per_recipient():
    with Dovecot() as dovecot:
        over_lmtp(dovecot, f"lmtp:127.0.0.1:{dovecot.port}")


def test_dovecot_takes_lmtp_over_a_socket_and_answers_per_recipient():
    with Dovecot() as dovecot:
        over_lmtp(dovecot, f"lmtp:unix:{dovecot.at}/lmtp.sock")
