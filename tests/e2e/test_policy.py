"""A policy that fails in any way, at any hook: 451, nobody else is affected, and it is counted under its name (Shown by 6)."""
import smtplib
import socket

from harness import SLOW, Gate, Sink, until

FAILURES = {
    "loop": "while true do end",
    "memory": 'local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end',
    "throw": 'error("broken on purpose")',
    "nonsense": "return 42",
    "wait": "gate.sleep(3600)",
}
EDGE = ("connect", "ehlo", "mail", "rcpt", "data", "headers", "message", "message_rcpt")
OUT = ("route", "result", "bounce")

# The failing handler meets the client at 127.0.0.2 alone; mail to bounce@ is refused by the sink so that `bounce` has a question.
POLICY = """
local gate = require "moongate"
local function is_victim(first)
	local ok, ip = pcall(function() return first.peer.ip end)
	if not ok then ip = first.peer_ip end
	return ip == "127.0.0.2"
end
gate.on("%(hook)s", { name = "%(hook)s-%(failure)s", timeout = "300ms" }, function(first)
	if is_victim(first) then %(code)s end
end)
"""


def victim(gate):
    return smtplib.SMTP("127.0.0.1", gate.port, local_hostname="victim.example", timeout=60, source_address=("127.0.0.2", 0))


def outcome(gate, rcpt="b@example.com"):
    """The reply that ended it: a refusal at any stage, or the 250 behind the data."""
    try:
        with victim(gate) as client:
            client.sendmail("a@client.example", [rcpt], b"Subject: x\r\n\r\nx\r\n")
            return 250
    except smtplib.SMTPRecipientsRefused as why:
        return next(iter(why.recipients.values()))[0]
    except smtplib.SMTPResponseException as why:
        return why.smtp_code


def honest(gate):
    with gate.smtp() as client:
        client.sendmail("good@client.example", ["b@example.com"], b"Subject: y\r\n\r\ny\r\n")


def counted(gate, rule):
    text = gate.cli("metrics").stdout
    return any(f'rule="{rule}"' in line and "error" in line and not line.endswith(" 0") for line in text.splitlines())


def install(gate, hook, failure):
    gate.policy_path.write_text(POLICY % {"hook": hook, "failure": failure, "code": FAILURES[failure]})
    gate.cli("reload")


def test_every_failure_at_every_hook_of_the_edge_is_451_and_hurts_nobody_else():
    with Sink() as sink, Gate(sink.address, policy="") as gate:
        sent = 0
        for turn, hook in enumerate(EDGE):
            for failure in list(FAILURES)[turn % 3::3] if SLOW > 1 else FAILURES:       # a third of them under sanitizers
                install(gate, hook, failure)
                with gate.smtp() as bystander:                  # in the middle of its session while the victim fails
                    bystander.ehlo()
                    bystander.mail("good@client.example")
                    assert outcome(gate) == 451, (hook, failure)
                    assert bystander.rcpt("b@example.com")[0] == 250
                    assert bystander.data(b"Subject: z\r\n\r\nz\r\n")[0] == 250
                sent += 1
                assert counted(gate, f"{hook}-{failure}"), (hook, failure)
        assert len(sink.wait(sent)) == sent                     # the victims' mail went nowhere
        assert {sender for sender, _, _ in sink.messages} == {"good@client.example"}
        assert all(r["restarts"] == 0 for r in gate.status()["roles"]), "no process was lost"


def test_every_failure_at_disconnect_is_counted_and_hurts_nobody():
    with Sink() as sink, Gate(sink.address, policy="") as gate:
        for number, failure in enumerate(FAILURES, 1):
            install(gate, "disconnect", failure)
            assert outcome(gate) == 250
            sink.wait(number)
            until(lambda: counted(gate, f"disconnect-{failure}"), f"disconnect-{failure} is counted")
        honest(gate)


def test_every_failure_at_a_delivery_hook_keeps_the_message():
    def refuse(stage, text):
        if stage != "RCPT":
            return None
        return "550 5.1.1 no" if "bounce" in text else "451 4.2.0 later" if "defer" in text else None

    with Sink(answer=refuse) as sink, Gate(sink.address, policy="", MOONGATE_RETRY="1h") as gate:
        for hook in OUT:
            to = {"route": "ok", "result": "defer", "bounce": "bounce"}[hook]
            for failure in FAILURES:
                install(gate, hook, failure)
                assert outcome(gate, f"{to}@example.com") == 250
                until(lambda: counted(gate, f"{hook}-{failure}"), f"{hook}-{failure} is counted", 20)
        queued = until(lambda: gate.json("queue", "list"), "what is kept is in the queue")
        assert len(queued) == len(OUT) * len(FAILURES)
        assert sink.messages == []
        honest(gate)


def test_a_waiting_handler_is_cancelled_when_its_client_leaves():
    policy = """
local gate = require "moongate"
gate.on("rcpt", { name = "slow", timeout = "10m" }, function(tx, rcpt) gate.sleep(300) end)
"""
    with Gate(policy=policy) as gate:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", gate.port)) as s:
                s.sendall(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@example.com>\r\n")
                until(lambda: b"sender ok" in s.recv(65536), "MAIL is answered")
        until(lambda: gate.status()["sessions"] == 0, "all sessions are over")


def test_two_variants_of_one_message_differ_as_the_policy_says():
    policy = """
local gate = require "moongate"
gate.on("message", { name = "mark" }, function(tx, msg)
	tx:add_header("X-All", "yes")
	tx:set_header("Subject", "[checked] " .. msg:header("subject"))
end)
gate.on("message_rcpt", { name = "each" }, function(tx, rcpt, msg)
	if rcpt.localpart == "one" then rcpt:add_header("X-One", rcpt.address) end
	if rcpt.localpart == "held" then return gate.hold { reason = "look at it" } end
end)
gate.on("mail", { name = "sender" }, function(tx) tx:set_sender("rewritten@example.com") end)
gate.on("rcpt", { name = "more" }, function(tx, rcpt)
	if rcpt.localpart == "two" then tx:add_rcpt("three@example.com") end
end)
"""
    with Sink() as sink, Gate(sink.address, policy=policy) as gate:
        with gate.smtp() as client:
            client.sendmail("a@client.example", ["one@example.com", "two@example.com", "held@example.com"],
                            b"Subject: hello\r\n\r\nbody\r\n")
        got = sink.wait(2)
        by_rcpts = {tuple(sorted(rcpts)): (sender, body) for sender, rcpts, body in got}
        assert set(by_rcpts) == {("one@example.com",), ("three@example.com", "two@example.com")}, by_rcpts.keys()
        for rcpts, (sender, body) in by_rcpts.items():
            assert sender == "rewritten@example.com"
            assert b"X-All: yes\r\n" in body and b"Subject: [checked] hello\r\n" in body and body.endswith(b"\r\n\r\nbody\r\n")
            assert (b"X-One: one@example.com\r\n" in body) == (rcpts == ("one@example.com",))
        held = [m for m in gate.json("queue", "list") if m["state"] == "held"]
        assert len(held) == 1
        gate.cli("queue", "release", held[0]["id"] + f".{held[0]['variant']}")
        assert sink.wait(3)[2][1] == ["held@example.com"]


def test_the_ready_policies_load_and_decide():
    policy = """
local gate = require "moongate"
gate.use("recipients", { map = "recipients" })
gate.use("senders", { deny = "senders" })
"""
    settings = """
return { hostname = "mx.example.com", listen = { env("MOONGATE_LISTEN") }, control = env("MOONGATE_CONTROL"),
	spool = env("MOONGATE_SPOOL"), policy = "policy/policy.lua", domains = { "example.com" },
	maps = { recipients = "recipients.txt", senders = "senders.txt" }, route = { ["*"] = env("MOONGATE_NEXT_HOP") } }
"""
    with Sink() as sink:
        gate = Gate(sink.address, settings=settings, policy=policy)
        (gate.dir / "recipients.txt").write_text("known@example.com\n")
        (gate.dir / "senders.txt").write_text("spammer@client.example\n")
        with gate, gate.smtp() as client:
            client.ehlo()
            assert client.mail("spammer@client.example")[0] == 550
            assert client.mail("a@client.example")[0] == 250
            assert client.rcpt("unknown@example.com")[0] == 550
            assert client.rcpt("known@example.com")[0] == 250
            assert client.rcpt("postmaster@example.com")[0] == 250
            assert client.data(b"Subject: x\r\n\r\nx\r\n")[0] == 250
            sink.wait(1)


def test_vars_cross_hooks_and_processes():
    policy = """
local gate = require "moongate"
gate.on("connect", { name = "c" }, function(conn) conn.vars.seen = 7 end)
gate.on("mail", { name = "m" }, function(tx) tx.vars.score = tx.conn.vars.seen + 1; tx.vars.tags = { "a", "b" } end)
gate.on("route", { name = "r" }, function(tx, rcpt)
	rcpt:route("smtp:" .. (tx.vars.score == 8 and tx.vars.tags[2] == "b" and "%s" or "127.0.0.1:9"))
end)
"""
    with Sink() as sink, Gate("127.0.0.1:9", policy=policy % sink.address) as gate:
        honest(gate)
        sink.wait(1)


