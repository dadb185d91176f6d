"""What an operator meets: the command line with the gateway up, down and on a copy; listeners, limits, bounces, next hops, events."""
import contextlib
import email
import json
import os
import pwd
import re
import shutil
import smtplib
import socket
import time

from harness import SLOW, Gate, Raw, Sink, Skipped, folder, strip_trace, until

SETTINGS = """
return { hostname = "mx.example.com", listen = { env("MOONGATE_LISTEN") %(listen)s }, control = env("MOONGATE_CONTROL"),
	spool = env("MOONGATE_SPOOL"), domains = { "example.com" }, relay = { domains = { "example.com" }, to = env("MOONGATE_NEXT_HOP") },
	%(more)s }
"""
MESSAGE = b"From: a@client.example\r\nSubject: hello\r\n\r\nbody\r\n"


def gate_with(more="", listen="", next_hop="127.0.0.1:9", **options):
    return Gate(next_hop, settings=SETTINGS % {"more": more, "listen": listen}, **options)


def send(gate, *to, sender="a@client.example", message=MESSAGE):
    with gate.smtp() as client:
        client.sendmail(sender, to or ["b@example.com"], message)


def queued(gate, state="waiting", count=1):
    def rows():
        found = [m for m in gate.json("queue", "list") if m["state"] == state]
        return found if len(found) == count else None

    return until(rows, f"{count} messages are {state}")


def is_json(text):
    lines = text.splitlines()
    return bool(lines) and all(isinstance(json.loads(line), (dict, list)) for line in lines)


# ---- the command line ----------------------------------------------------------------------------


def test_check_names_every_mistake_with_file_line_and_column():
    bad = """return {
	hostnam = "mx.example.com",
	listen = { "127.0.0.1:99999" },
	retry = { first = "5 parsecs" },
	limits = { recipients = "many" },
}
"""
    gate = Gate(settings=bad)
    answer = gate.cli("check", check=False)
    assert answer.returncode == 78
    for line, column, word in ((2, 2, "hostname"), (3, 13, "99999"), (4, 12, "parsecs"), (5, 13, "whole number")):
        assert re.search(rf"moongate\.lua:{line}:{column}: .*{word}", answer.stdout + answer.stderr), (line, answer)
    told = json.loads(gate.cli("check", "--json", check=False).stdout)
    assert told["good"] is False and len(told["problems"]) == 4
    assert gate.start(expect_ready=False).process.wait(20 * SLOW) == 78, "nothing is served by it"
    gate.settings.write_text("return {")
    assert re.search(r"moongate\.lua:1:", gate.cli("check", check=False).stderr), "not even Lua"
    gate.settings.unlink()
    assert gate.cli("check", check=False).returncode == 78


def test_check_reads_policy_and_maps():
    gate = Gate(policy='local gate = require "moongate"\ngate.on("rcptt", function() end)\n')
    answer = gate.cli("check", check=False)
    assert answer.returncode == 78 and re.search(r"policy\.lua:2:.*rcpt", answer.stdout + answer.stderr), answer
    gate.policy_path.write_text('local gate = require "moongate"\ngate.on("rcpt", function() end)\n')
    assert "good" in gate.cli("check").stdout and json.loads(gate.cli("check", "--json").stdout)["good"] is True
    missing = Gate(settings=SETTINGS % {"listen": "", "more": 'maps = { known = "nowhere.txt" }'})
    answer = missing.cli("check", check=False)
    assert answer.returncode == 78 and "nowhere.txt" in answer.stderr + answer.stdout


def test_the_exit_code_says_what_kind_of_no_it_was():
    gate = Gate()
    for words, code in ((["frob"], 64), (["queue", "frob"], 64), (["queue", "show"], 64), (["status", "extra"], 64), (["version"], 0),
                        (["help"], 0), (["status"], 69), (["reload"], 69), (["queue", "list"], 69), (["drain"], 69)):
        assert gate.cli(*words, check=False).returncode == code, words
    assert "did you mean `queue`" in gate.cli("qeue", check=False).stderr
    with gate:
        for words, code in ((["status"], 0), (["queue", "list"], 0), (["queue", "show", "not-an-id"], 64),
                            (["queue", "show", "01m00000000000000000000000"], 1), (["queue", "drop", "01m00000000000000000000000"], 1),
                            (["queue", "drop", "all"], 64), (["queue", "drop", "all", "--yes"], 1)):         # there is none
            assert gate.cli(*words, check=False).returncode == code, words


def test_every_verb_of_the_queue():
    with Sink() as sink, Gate("127.0.0.1:9", MOONGATE_RETRY="1h") as gate:
        send(gate, "b@example.com", "c@example.com")
        row = queued(gate)[0]
        name = f"{row['id']}.{row['variant']}"
        until(lambda: "refused" in gate.json("queue", "list")[0]["last"], "the first attempt failed")
        assert (row["left"], row["recipients"]) == (2, 2) and 0 < row["next"] <= 3600 * 1.5
        shown = gate.cli("queue", "show", name).stdout
        assert "b@example.com" in shown and "Subject: hello" in shown and "body" not in shown.split("Subject: hello")[1]
        assert [r["state"] for r in gate.json("queue", "show", name)[0]["recipients"]] == ["waiting", "waiting"]
        gate.cli("queue", "hold", name)
        queued(gate, "held")
        gate.cli("queue", "retry", "all", check=False)
        queued(gate, "held")
        gate.env["MOONGATE_NEXT_HOP"] = sink.address
        assert gate.status()["queued"] == 1
        gate.cli("queue", "release", name)
        queued(gate)
        send(gate)
        queued(gate, count=2)
        gate.cli("queue", "drop", name)
        assert queued(gate)[0]["id"] != row["id"]
        assert gate.events("queue.dropped")[0]["id"] == row["id"], "it leaves a trace"
        gate.cli("queue", "drop", "all", "--yes")
        until(lambda: gate.status()["queued"] == 0, "nothing is left")
        assert sink.messages == []


def test_what_is_held_is_held_after_a_restart():
    with Sink() as sink:
        gate = Gate(sink.address, policy='local gate = require "moongate"\n'
                    'gate.on("message", { name = "h" }, function() return gate.hold { reason = "look at it" } end)\n')
        with gate:
            send(gate)
            name = queued(gate, "held")[0]["id"]
        with gate:
            assert queued(gate, "held")[0]["id"] == name
            assert sink.messages == []
            gate.cli("queue", "release", name)
            assert strip_trace(sink.wait(1)[0][2]) == MESSAGE


def test_json_everywhere():
    with Gate("127.0.0.1:9", MOONGATE_RETRY="1h") as gate:
        send(gate)
        name = queued(gate)[0]["id"]
        bad = [words for words in (["status"], ["metrics"], ["queue", "list"], ["queue", "show", name], ["queue", "hold", name],
                                   ["queue", "release", name], ["queue", "retry", "all"], ["policy", "list"], ["policy", "order"],
                                   ["spool", "ls"], ["spool", "show", name], ["spool", "verify"], ["spool", "stats"], ["check"], ["version"], ["reload"],
                                   ["policy", "rollback"], ["queue", "drop", name])
               if not with_json(gate, *words)]
        assert bad == [], f"no JSON: {bad}"


def with_json(gate, *words):
    answer = gate.cli(*words, "--json", check=False)
    try:
        return is_json(answer.stdout)
    except ValueError:
        return False


def ids(gate, *words, check=True):
    text = gate.cli("spool", "ls", *words, "--json", check=check).stdout
    return sorted(row["id"] for row in map(json.loads, text.splitlines()) if "variant" in row)


def give(path):
    """A copy made by root belongs to root: give it to whom the roles run as."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for one in (path, *path.rglob("*")):
            os.chown(one, nobody.pw_uid, nobody.pw_gid)


def test_the_spool_is_read_while_the_gateway_runs_when_it_is_down_and_on_a_copy():
    gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
    with gate:
        for number in range(5):
            send(gate, message=MESSAGE + b"%d\r\n" % number)
        send(gate, message=MESSAGE + b"0123456789abcdef\r\n" * 20000)
        want = sorted(row["id"] for row in queued(gate, count=6))
        up = ids(gate)
        assert up == want
        gate.cli("spool", "verify")
        shown = gate.cli("spool", "show", want[0]).stdout
        assert "b@example.com" in shown and "Subject: hello" in shown
        copy = gate.dir / "copy"
        shutil.copytree(gate.spool, copy)               # in the middle of its life
    assert ids(gate) == want
    gate.cli("spool", "verify")
    shutil.rmtree(gate.spool)
    shutil.move(copy, gate.spool)
    give(gate.spool)
    assert ids(gate) == want
    gate.cli("spool", "verify")
    with gate:                                          # and the copy is a spool like any other
        assert sorted(row["id"] for row in queued(gate, count=6)) == want


def test_a_damaged_spool_is_said_to_be_damaged_and_the_rest_is_shown():
    gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
    with gate:
        for number in range(5):
            send(gate, message=b"Subject: n%d\r\n\r\nMARK-%d-MARK\r\n" % (number, number))
        queued(gate, count=5)
    segment = next(p for p in sorted((gate.spool / "seg").iterdir()) if b"MARK-2-MARK" in p.read_bytes())
    data = segment.read_bytes()
    at = data.index(b"MARK-2-MARK")
    with open(segment, "r+b") as file:
        file.seek(at)
        file.write(b"XXXX")
    answer = gate.cli("spool", "verify", check=False)
    assert answer.returncode == 1 and "damaged" in answer.stdout + answer.stderr, answer
    assert len(ids(gate, check=False)) == 4
    with gate:
        assert len(queued(gate, count=4)) == 4


def test_metrics_are_prometheus_text_and_count():
    with Sink() as sink, Gate(sink.address) as gate:
        send(gate)
        sink.wait(1)
        until(lambda: gate.status()["delivered"] == 1, "it is counted")
        text = gate.cli("metrics").stdout
        line = re.compile(r'(# (HELP|TYPE) moongate_\w+ .+|moongate_\w+(\{\w+="[^"\n]*"(,\w+="[^"\n]*")*\})? [0-9.e+-]+(Inf)?)')
        odd = [one for one in text.splitlines() if one and not line.fullmatch(one)]
        assert odd == [], odd[:3]
        assert re.search(r"_bucket\{[^}]*le=\"\+Inf\"", text), "latency histograms"
        total = sum(int(v) for v in re.findall(r"^moongate_smtp_messages_accepted_total\{.*\} (\d+)$", text, re.M))
        assert total == 1


def test_drain_finishes_what_runs_and_ends():
    with Gate() as gate, Raw(gate.port) as client:
        client.say("MAIL FROM:<a@client.example>")
        assert gate.cli("drain", check=False).returncode == 0
        with contextlib.suppress(EOFError, ConnectionError):
            for line in ("RCPT TO:<b@example.com>", "DATA"):
                if client.say(line)[0] == 421:
                    break
            else:
                client.send(MESSAGE + b".\r\n")
                assert client.reply()[0] in (250, 421)
        begin = time.monotonic()
        assert gate.process.wait(40 * SLOW) == 0
        assert time.monotonic() - begin < 20 * SLOW, "the open connection is told, not waited for"


# ---- listeners and next hops ---------------------------------------------------------------------


def test_ipv6_and_a_unix_socket_take_mail():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
            port = s.getsockname()[1]
    except OSError as why:
        raise Skipped("no IPv6 loopback") from why
    at = folder()
    path = at / "smtp.sock"
    with Sink() as sink, gate_with(listen=f', "[::1]:{port}", "unix:{path}"', next_hop=sink.address, at=at) as gate:
        with smtplib.SMTP("::1", port, local_hostname="client.example", timeout=20 * SLOW) as client:
            client.sendmail("a@client.example", ["b@example.com"], MESSAGE)
        assert b"[IPv6:::1]" in sink.wait(1)[0][2]
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.settimeout(20 * SLOW)
            f = s.makefile("rwb")
            assert f.readline().startswith(b"220")
            f.write(b"HELO local\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
            f.flush()
            assert [f.readline()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
            f.write(MESSAGE + b".\r\nQUIT\r\n")
            f.flush()
            assert f.readline().startswith(b"250")
        assert strip_trace(sink.wait(2)[1][2]) == MESSAGE
        until(lambda: {e["listener"] for e in gate.events("message")} >= {f"[::1]:{port}", f"unix:{path}"}, "events name the listener")
    with gate_with(listen=f', "unix:{path}"', at=at):
        assert path.exists(), "a new start binds, whoever left it"


def test_lmtp_answers_for_each_recipient():
    def answer(stage, text):
        return "550 5.1.1 unknown" if stage == "RCPT" and "nobody@" in text else None

    with Sink(lmtp=True, answer=answer) as sink, gate_with(next_hop=f"lmtp:{sink.address}") as gate:
        send(gate, "b@example.com", "nobody@example.com", "c@example.com", sender="")
        _, rcpts, body = sink.wait(1)[0]
        assert rcpts == ["b@example.com", "c@example.com"] and strip_trace(body) == MESSAGE
        until(lambda: len(gate.events("delivery")) == 3, "three outcomes")
        assert {e["rcpt"]: e["outcome"] for e in gate.events("delivery")} == {
            "b@example.com": "delivered", "c@example.com": "delivered", "nobody@example.com": "failed"}


def test_a_maildir_gets_one_whole_file_per_message():
    mail = folder()
    with gate_with(next_hop=f"maildir:{mail}/{{domain}}/{{local}}") as gate:
        send(gate, "b@example.com", "C@example.com")
        for name in ("b", "c"):
            new = mail / "example.com" / name / "new"
            path = until(lambda: new.is_dir() and list(new.iterdir()), f"mail for {name}")[0]          # noqa: B023
            got = path.read_bytes()
            assert got.startswith(b"Return-Path: <a@client.example>")
            assert strip_trace(got.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")) == MESSAGE
            assert path.stat().st_mode & 0o077 == 0
            until(lambda: not list((new.parent / "tmp").iterdir()), "nothing is left in tmp")          # noqa: B023
    shutil.rmtree(mail)


# ---- limits --------------------------------------------------------------------------------------


def transaction(client):
    for line in ("MAIL FROM:<a@client.example>", "RCPT TO:<b@example.com>"):
        assert client.say(line)[0] == 250
    assert client.say("DATA")[0] == 354


def test_every_limit_is_reached_and_answered():
    limits = "limits = { recipients = 2, errors = 3, commands = 12, messages = 2, refusals = 2, junk = 6, hops = 5, command_line = 512, data_line = 1000, connections = 4 }"
    with gate_with(limits + ", processes = { edges = 1 }") as gate:
        with Raw(gate.port) as client:
            client.say("MAIL FROM:<a@client.example>")
            codes = [client.say(f"RCPT TO:<r{n}@example.com>")[0] for n in range(4)]
            assert codes == [250, 250, 452, 452]
        with Raw(gate.port) as client:
            assert [client.say("FROB")[0] for _ in range(2)] == [500, 500]
            last = client.say("FROB")
            assert last[0] == 421
            assert client.is_closed()
        with Raw(gate.port) as client:
            assert [client.say("NOOP")[0] for _ in range(7)] == [250] * 6 + [421] and client.is_closed()
        with Raw(gate.port) as client:
            client.say("MAIL FROM:<a@client.example>")
            assert [client.say("RCPT TO:<a%b@example.com>")[0] for _ in range(2)] == [550, 421] and client.is_closed()
        with Raw(gate.port) as client:
            codes = [client.say("MAIL FROM:<a@client.example>")[0]]
            while codes[-1] != 421:
                codes.append(client.say("RCPT TO:<b@example.com>")[0])
            assert len(codes) in (11, 12, 13) and client.is_closed()
        with Raw(gate.port) as client:
            assert client.say("NOOP " + "x" * 600)[0] == 500
            assert client.say("NOOP " + "x" * 400)[0] == 250
        with Raw(gate.port) as client:
            transaction(client)
            client.send(b"Subject: x\r\n\r\n" + b"y" * 1001 + b"\r\n.\r\n")
            code, text = client.reply()
            assert code == 554 and "line" in text
        with Raw(gate.port) as client:
            transaction(client)
            client.send(b"Received: from a by b; Tue, 24 Nov 2026 12:00:00 +0000\r\n" * 6 + b"\r\n.\r\n")
            code, text = client.reply()
            assert code == 554 and "5.4.6" in text
            transaction(client)
            client.send(b"Received: from a by b; Tue, 24 Nov 2026 12:00:00 +0000\r\n" * 4 + b"\r\n.\r\n")
            assert client.reply()[0] == 250
        until(lambda: gate.status()["sessions"] == 0, "all are over")
        with contextlib.ExitStack() as all_of_them:
            for _ in range(4):
                all_of_them.enter_context(Raw(gate.port))
            with Raw(gate.port, greet=False) as client:
                assert client.reply()[0] == 421 and client.is_closed()
        until(lambda: gate.status()["sessions"] == 0, "all are over")
        with Raw(gate.port) as client:
            assert client.say("NOOP")[0] == 250


def test_a_silent_client_is_told_and_left():
    with gate_with('timeouts = { command = "1s", data = "1s" }') as gate:
        with Raw(gate.port) as client:
            code, text = client.reply()
            assert code == 421 and "4.4.2" in text and client.is_closed()
        with Raw(gate.port) as client:
            transaction(client)
            client.send(b"Subject: half")
            assert client.reply()[0] in (421, 451) and client.is_closed()


# ---- bounces -------------------------------------------------------------------------------------


def is_report(body):
    return b"multipart/report" in body


def test_expiry_sends_a_report_to_the_sender_and_none_to_nobody():
    def answer(stage, text):
        return "451 4.2.2 not now" if stage == "RCPT" and "full@" in text else None

    more = 'retry = { first = "200ms", longest = "300ms", expire = "2s" }'
    settings = SETTINGS.replace('domains = { "example.com" }, to', 'domains = { "*" }, to') % {"listen": "", "more": more}
    with Sink(answer=answer) as sink, Gate(sink.address, settings=settings) as gate:
        send(gate, "full@example.com", "b@example.com")
        send(gate, "full@example.com", sender="")
        got = sink.wait(2, 30)
        report = next(m for m in got if is_report(m[2]))
        assert report[0] == "" and report[1] == ["a@client.example"]
        check_report(report[2], "full@example.com", "4.4.7", "4.2.2")     # RFC 3463: delivery time expired; and what the last reply said
        until(lambda: gate.status()["queued"] == 0, "the one from nobody is given up too", 20)
        assert len([m for m in sink.messages if is_report(m[2])]) == 1
        attempts = [e for e in gate.events("delivery") if e["rcpt"] == "full@example.com"]
        assert len(attempts) >= 4 and attempts[-1]["outcome"] in ("failed", "expired"), attempts[-1]


def check_report(body, rcpt, status, said):
    report = email.message_from_bytes(body)
    assert report.get_content_type() == "multipart/report" and report.get_param("report-type") == "delivery-status"
    human, machine, original = report.get_payload()
    assert human.get_content_type() == "text/plain" and rcpt in human.get_payload()
    assert machine.get_content_type() == "message/delivery-status"
    per_message, *per_rcpt = machine.get_payload()
    assert per_message["Reporting-MTA"] == "dns; mx.example.com" and len(per_rcpt) == 1
    assert per_rcpt[0]["Final-Recipient"] == f"rfc822; {rcpt}" and per_rcpt[0]["Action"] == "failed"
    assert per_rcpt[0]["Status"] == status, per_rcpt[0]["Status"]
    assert said in per_rcpt[0]["Diagnostic-Code"]
    assert original.get_content_type() in ("message/rfc822", "text/rfc822-headers") and "Subject: hello" in original.as_string()
    assert report["Auto-Submitted"] == "auto-replied" and report["To"] and report["From"] and report["Message-ID"] and report["Date"]


# ---- events --------------------------------------------------------------------------------------


INJECTIONS = (b"x\x1b[31mred\x1b[0m", b'x","event":"forged', b"x\\", b"x\t\x07\x08", b"x\x7f\x80\xff", "\u202ex".encode(), b'"', b"x" * 500, b"\xc3(",
              b"x\r", b"x\x0b\x0c", b"${jndi:x}", b"%n%s", b"</script>")


def test_whatever_a_client_says_an_event_is_one_line_of_json():
    with Sink() as sink, Gate(sink.address) as gate:
        for what in INJECTIONS:
            for line in (b"EHLO %s", b"MAIL FROM:<%s@client.example>", b'MAIL FROM:<"%s"@client.example>', b"RCPT TO:<%s@example.com>", b"NOOP %s", b"%s"):
                with contextlib.suppress(EOFError, ConnectionError), Raw(gate.port) as client:
                    if line.startswith(b"RCPT"):
                        client.say("MAIL FROM:<a@client.example>")
                    client.send(line % what + b"\r\n")
                    client.reply()
                    client.say("QUIT")
            with contextlib.suppress(smtplib.SMTPException):
                send(gate, message=b"Subject: " + what.replace(b"\r", b"") + b"\r\n\r\nx\r\n")
        sessions = len(INJECTIONS) * 7
        until(lambda: len(gate.events("session")) == sessions, f"{sessions} sessions, each one line")
        raw = gate.events_path.read_bytes()
        assert all(b >= 0x20 and b != 0x7f or b == 0x0a for b in raw), "no control byte"
        assert all(e["event"] != "forged" and set(e) >= {"time", "level", "event"} for e in gate.events())
        assert len({e["session"] for e in gate.events("session")}) == sessions


def test_a_hostile_next_hop_does_not_forge_an_event():
    def answer(stage, text):
        return '451-4.2.0 a\x1b[2J","event":"forged\r\n451 4.2.0 \x07\xff"}' if stage == "RCPT" else None

    with Sink(answer=answer) as sink, Gate(sink.address, MOONGATE_RETRY="1h") as gate:
        send(gate)
        until(lambda: gate.events("delivery"), "an outcome")
        assert gate.events("delivery")[0]["outcome"] == "deferred"
        assert all(b >= 0x20 and b != 0x7f or b == 0x0a for b in gate.events_path.read_bytes())
        queued(gate)
        assert is_json(gate.cli("queue", "list", "--json").stdout)
        assert all(b >= 0x20 or b == 0x0a for b in gate.cli("queue", "list", binary=True).stdout)


def test_a_message_event_tells_the_whole_story():
    policy = """
local gate = require "moongate"
gate.on("rcpt", { name = "no-such" }, function(tx, rcpt)
	if rcpt.localpart == "nobody" then return gate.reject(550, "5.1.1", "no such user") end
end)
"""
    with Sink() as sink, Gate(sink.address, policy=policy) as gate:
        with gate.smtp() as client:
            client.sendmail("a@client.example", ["b@example.com", "nobody@example.com"], MESSAGE)
        sink.wait(1)
        until(lambda: gate.events("delivery") and gate.events("session"), "the events")
        message, = gate.events("message")
        delivery, = gate.events("delivery")
        session, = gate.events("session")
        assert message["outcome"] == "accepted" and message["id"] == delivery["id"] and message["session"] == session["session"]
        states = {r["to"]: r for r in message["rcpts"]}
        assert states["nobody@example.com"]["code"] == 550 and "no-such" in json.dumps(states["nobody@example.com"]), states
        assert states["b@example.com"]["state"] == "accepted"
        assert message["generation"] == session["generation"] == delivery["generation"]
        assert delivery["outcome"] == "delivered" and delivery["code"] == 250 and session["end"] == "quit"
        assert message["commit_ms"] > 0 and message["ms"] >= message["commit_ms"]


def test_events_go_to_a_file_or_to_syslog():
    at = folder()
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(at / "log.sock"))
    os.chmod(at / "log.sock", 0o777)
    log.settimeout(20 * SLOW)
    with gate_with(f'events = {{ to = "syslog:{at}/log.sock" }}', at=at) as gate:
        with Raw(gate.port) as client:
            client.say("QUIT")
        seen = []
        while not any('"event":"session"' in line for line in seen):
            seen.append(log.recv(65536).decode())
        line = next(line for line in seen if '"event":"session"' in line)
        assert re.match(r"<\d+>1 \d{4}-\d\d-\d\dT\S+ mx\.example\.com moongate \S+ \S+ - ", line), line
        assert json.loads(line[line.index("{"):])["end"] == "quit"
        gate.settings.write_text(SETTINGS % {"listen": "", "more": f'events = {{ to = "file:{at}/e.jsonl" }}'})
        gate.cli("reload")
        with Raw(gate.port) as client:
            client.say("QUIT")
        until(lambda: (at / "e.jsonl").exists() and '"event":"session"' in (at / "e.jsonl").read_text(), "a line in the file")
    log.close()
