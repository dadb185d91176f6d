"""The queue as an operator meets it: quarantine, filters, suspension, shape, and how failures are tried again."""
import json
import os
import signal
import smtplib

from harness import SLOW, Gate, Sink, until

POLICY = """
local gate = require "moongate"

gate.on("message", { name = "aside" }, function(tx, msg)
    local subject = msg:header("subject") or ""
    if subject:find("spam", 1, true) then
        return gate.quarantine{ bucket = "spam", reason = "it says so", ttl = subject:find("short", 1, true) and "2s" or "1h" }
    end
    if subject:find("odd", 1, true) then return gate.hold{ reason = "a person has to look" } end
    tx.vars.kind = subject
end)
"""
SETTINGS = """
return { hostname = "mx.example.com", listen = { env("MOONGATE_LISTEN") }, control = env("MOONGATE_CONTROL"),
	spool = env("MOONGATE_SPOOL"), relay = { domains = { "example.com", "example.net" }, to = env("MOONGATE_NEXT_HOP") },
	policy = env("MOONGATE_POLICY", ""), %s }
"""


def gate_with(more="", next_hop="127.0.0.1:9", policy=None, **options):
    return Gate(next_hop, settings=SETTINGS % more, policy=policy, **options)


def send(gate, subject, *to, sender="a@client.example", size=0):
    body = f"From: a@client.example\r\nSubject: {subject}\r\n\r\nbody\r\n".encode() + b"x" * 70 + b"\r\n"
    body += (b"y" * 70 + b"\r\n") * (size // 72)
    with gate.smtp() as client:
        client.sendmail(sender, to or ["b@example.com"], body)


def listed(gate, noun, *terms, count=1):
    def rows():
        found = gate.json(noun, "list", *terms)
        return len(found) == count and (found or True)

    return until(rows, f"{count} rows of {noun} {terms}")


def metric(gate, name):
    for line in gate.cli("metrics").stdout.splitlines():
        if line.startswith(f"moongate_{name}") or line.startswith(name):
            return float(line.split()[-1])
    raise AssertionError(f"no metric {name}")


def test_a_quarantine_keeps_shows_releases_and_drops():
    with Sink() as sink, gate_with(next_hop=sink.address, policy=POLICY) as gate:
        for n in range(3):
            send(gate, f"spam {n}", "b@example.com", "c@example.com")
        send(gate, "fine")
        sink.wait(1)
        rows = listed(gate, "quarantine", count=3)
        assert all(r["bucket"] == "spam" and r["last"] == "it says so" and r["state"] == "quarantined" for r in rows), rows
        assert 3500 < rows[0]["next"] <= 3600, rows[0]
        assert gate.json("queue", "list") == [], "it is no part of the queue"
        assert gate.cli("queue", "release", "all", check=False).returncode == 1
        names = [f"{r['id']}.{r['variant']}" for r in rows]
        assert "spam" in gate.cli("quarantine", "show", names[0]).stdout
        gate.process.send_signal(signal.SIGKILL)
        gate.process.wait()
        until(lambda: gate.cli("status", check=False).returncode == 69, "all roles are gone")
        gate.start()
        assert len(listed(gate, "quarantine", "bucket=spam", count=3)) == 3, "a crash changes nothing"
        gate.cli("quarantine", "release", names[0])
        sink.wait(2)
        gate.cli("quarantine", "release", names[1], "--to", "abuse@example.net")
        assert sorted(sink.wait(3)[2][1]) == ["abuse@example.net"]
        assert gate.events("quarantine.released")[-1]["to"] == "abuse@example.net"
        assert gate.cli("quarantine", "drop", "all", check=False).returncode == 64, "asked twice"
        gate.cli("quarantine", "drop", "all", "--yes")
        listed(gate, "quarantine", count=0)
        assert len(sink.messages) == 3


def test_quarantined_mail_expires_with_an_event_and_no_bounce():
    with Sink() as sink, gate_with(next_hop=sink.address, policy=POLICY) as gate:
        send(gate, "spam short")
        listed(gate, "quarantine")
        listed(gate, "quarantine", count=0)
        event = until(lambda: gate.events("quarantine.expired"), "it is told")[0]
        assert event["bucket"] == "spam" and event["recipients"] == 1
        assert metric(gate, "quarantine_expired_total") == 1
        assert gate.json("queue", "list") == [] and sink.messages == [], "nobody gets a bounce"


def test_a_full_quarantine_defers_and_the_rest_is_accepted():
    with Sink() as sink, gate_with('quarantine = { bytes = "8KiB" }', sink.address, policy=POLICY) as gate:
        send(gate, "spam", size=3000)
        try:
            send(gate, "spam", size=6000)
            raise AssertionError("it was taken")
        except smtplib.SMTPDataError as refused:
            assert refused.smtp_code == 452, refused
        send(gate, "fine", size=6000)
        sink.wait(1)
        assert metric(gate, "quarantine_full_total") == 1


def test_filters_choose_for_list_and_for_verbs():
    with gate_with('retry = { first = "1h" }', policy=POLICY) as gate:
        for n in range(6):
            send(gate, "odd" if n % 2 else "plain", "b@example.com" if n < 3 else "c@example.net", sender=f"user{n}@client.example")
        listed(gate, "queue", "state=held", count=3)
        listed(gate, "queue", "state=waiting", "reason~refused", count=3)
        assert len(gate.json("queue", "list", "domain=example.net")) == 3
        assert len(gate.json("queue", "list", "from~USER4")) == 1
        assert len(gate.json("queue", "list", "vars.kind=plain")) == 3
        assert len(gate.json("queue", "list", "to~b@", "state=held", "age<1h", "size<1KiB")) == 1
        dry = gate.cli("queue", "drop", "domain=example.net", "--dry-run").stdout
        assert "3 would be dropped" in dry and len(gate.json("queue", "list")) == 6
        answer = gate.cli("queue", "hold", "frm~x", check=False)
        assert answer.returncode == 64 and "did you mean `from`" in answer.stdout + answer.stderr, answer
        assert gate.cli("queue", "drop", "domain=example.net", check=False).returncode == 64
        assert "3 dropped" in gate.cli("queue", "drop", "domain=example.net", "--yes").stdout
        assert "1 released" in gate.cli("queue", "release", "from~user1").stdout
        listed(gate, "queue", count=3)


def test_a_suspended_destination_waits_also_over_a_crash_of_the_spool():
    with Sink() as sink, gate_with(next_hop=sink.address) as gate:
        send(gate, "first")
        sink.wait(1)
        where = until(lambda: gate.events("delivery"), "its event")[0]["destination"]
        assert json.loads(gate.cli("queue", "suspend", where, "--for", "1h", "--reason", "they asked", "--json").stdout)["left"] == 3600
        for n in range(3):
            send(gate, f"late {n}")
        listed(gate, "queue", "state=ready", f"destination={where}", count=3)
        until(lambda: any(p.suffix in (".0", ".1") for p in gate.spool.glob("suspensions.*")), "it is stored")
        os.kill(gate.pids("spool")[("spool", 0)], signal.SIGKILL)
        until(lambda: gate.cli("queue", "suspensions", check=False).returncode == 0, "the spool is back")
        assert gate.json("queue", "suspensions")[0]["reason"] == "they asked"
        listed(gate, "queue", "state=ready", count=3)
        assert len(sink.messages) == 1
        assert "1 resumed" in gate.cli("queue", "resume", where).stdout
        sink.wait(4)
        gate.cli("queue", "suspend", where, "--for", "1s")
        send(gate, "soon")
        sink.wait(5)


def test_the_shape_of_the_queue():
    with gate_with('retry = { first = "1h" }', policy=POLICY) as gate:
        for n in range(3):
            send(gate, "odd" if n else "plain")
        listed(gate, "queue", "state=waiting")
        shape = {row["destination"]: row for row in gate.json("queue", "shape")}
        assert shape["(held)"]["total"] == 2 and shape["(held)"]["minutes"]["<5"] == 2
        assert sum(row["total"] for row in shape.values()) == 3
        text = gate.cli("queue", "shape").stdout.splitlines()
        assert text[0].split()[:3] == ["minutes", "total", "5"] and text[1].split()[:3] == ["TOTAL", "3", "3"]


def test_each_class_of_failure_waits_as_its_setting_says():
    replies = {"grey": "450 4.2.0 Greylisted, come again", "rate": "421 4.7.0 too much", "full": "452 4.2.2 mailbox full"}

    def answer(stage, text):
        return next((reply for name, reply in replies.items() if stage == "RCPT" and name in text), None)

    with Sink(answer=answer) as sink, \
            gate_with('retry = { first = "10m", greylist = "2m", rate = "40m", expire = "1d" }', sink.address) as gate:
        for name in replies:
            send(gate, name, f"{name}@example.com")
        listed(gate, "queue", "state=waiting", count=3)
        until(lambda: len(gate.events("delivery")) == 3, "their events")
        causes = {e["rcpt"].split("@")[0]: e["cause"] for e in gate.events("delivery")}
        assert causes == {"grey": "greylist", "rate": "rate", "full": "other"}, causes
        for name, least, most in (("grey", 120, 150), ("rate", 2100, 2700), ("full", 525, 675)):
            row = gate.json("queue", "list", f"to~{name}")[0]
            assert least - 10 * SLOW <= row["next"] <= most + 2, (name, row)


def test_a_policy_chooses_the_schedule_of_a_message():
    policy = """
local gate = require "moongate"
gate.on("route", { name = "patience" }, function(tx, rcpt)
    if rcpt.localpart == "urgent" then tx:schedule{ first = "1m", longest = "2m", expire = "1h" } end
end)
"""
    with gate_with('retry = { first = "1h" }', policy=policy) as gate:
        send(gate, "x", "urgent@example.com")
        send(gate, "x", "other@example.com")
        listed(gate, "queue", "state=waiting", count=2)
        assert 40 <= gate.json("queue", "list", "to~urgent")[0]["next"] <= 70
        assert gate.json("queue", "list", "to~other")[0]["next"] > 3000


def test_variables_of_a_recipient_last():
    policy = """
local gate = require "moongate"
gate.on("route", { name = "count" }, function(tx, rcpt)
    rcpt.vars.tries = (rcpt.vars.tries or 0) + 1
    if rcpt.vars.tries < 3 then return gate.defer(451, "4.3.0", "not yet") end
end)
"""
    with Sink() as sink, gate_with('retry = { first = "1s" }', sink.address, policy=policy) as gate:
        send(gate, "patience", "b@example.com", "c@example.com")
        sink.wait(1, 30)
        until(lambda: [e for e in gate.events("delivery") if e["outcome"] == "delivered"], "its event")
        assert len([e for e in gate.events("delivery") if e["outcome"] == "deferred"]) == 4, gate.events("delivery")
        assert {e["cause"] for e in gate.events("delivery") if e["outcome"] == "deferred"} == {"policy"}
