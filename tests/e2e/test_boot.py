"""A bad policy refuses to start; with --last-known-good the rules that were committed last step in, and everybody can see it."""
from harness import Gate, Raw, until

SETTINGS = """
return { hostname = "mx.example.com", listen = { env("MOONGATE_LISTEN") }, control = env("MOONGATE_CONTROL"), spool = env("MOONGATE_SPOOL"),
	domains = { "example.com" }, policy = "policy/policy.lua", events = { to = "stdout" } }
"""
POLICY = """
local gate = require "moongate"
gate.on("rcpt", { name = "rule" }, function(tx, rcpt) return gate.reject(550, "5.7.1", "rule %s") end)
"""


def reply(gate):
    with Raw(gate.port) as client:
        client.say("MAIL FROM:<a@client.example>")
        return client.say("RCPT TO:<b@example.com>")[1]


def kept(gate):
    path = gate.spool / "last-good"
    return path.read_bytes() if path.exists() else None


def stopped_with_a_bad(gate, policy=None, settings=None):
    """Both rules were kept; then they go bad while the gateway is down."""
    until(lambda: kept(gate), "the rules are kept")
    gate.stop()
    if policy:
        gate.policy_path.write_text(policy)
    if settings:
        gate.settings.write_text(settings)


def test_a_bad_policy_refuses_to_start():
    with Gate(settings=SETTINGS, policy=POLICY % "one") as gate:
        stopped_with_a_bad(gate, policy="this is not Lua")
        gate.start(expect_ready=False)
        assert gate.process.wait(20) == 78 and "policy.lua:1:" in gate.errors()


def test_the_last_known_good_rules_step_in_loudly_until_good_ones_are_loaded():
    with Gate(settings=SETTINGS, policy=POLICY % "one") as gate:
        gate.policy_path.write_text(POLICY % "two")
        before = until(lambda: kept(gate), "the rules are kept")
        gate.cli("reload")                                      # what is committed last is what is kept
        until(lambda: kept(gate) not in (None, before), "kept anew")
        stopped_with_a_bad(gate, policy="this is not Lua")
        gate.start(options=["--last-known-good", gate.spool])
        assert "rule two" in reply(gate)
        assert "policy.lua:1:" in gate.errors() and "last known good" in gate.errors()
        assert gate.status()["last_known_good"] and "LAST KNOWN GOOD" in gate.cli("status").stdout
        event, = gate.events("policy.last_known_good")
        assert "policy.lua:1:" in event["why"] and event["level"] == "error"
        gate.policy_path.write_text(POLICY % "three")
        gate.cli("reload")
        assert "rule three" in reply(gate) and not gate.status()["last_known_good"]


def test_settings_that_cannot_be_read_are_no_obstacle():
    with Gate(settings=SETTINGS, policy=POLICY % "one") as gate:
        stopped_with_a_bad(gate, settings="return {")
        gate.start(options=["--last-known-good", gate.spool])
        assert "rule one" in reply(gate)
        gate.settings.write_text(SETTINGS)
        assert "nothing has changed" in gate.cli("reload").stdout
        assert not gate.status()["last_known_good"]


def test_damaged_rules_are_no_rules():
    with Gate(settings=SETTINGS, policy=POLICY % "one") as gate:
        stopped_with_a_bad(gate, policy="this is not Lua")
        kept = gate.spool / "last-good"
        kept.write_bytes(kept.read_bytes().replace(b"rule one", b"rule 0ne"))
        gate.start(expect_ready=False, options=["--last-known-good", gate.spool])
        assert gate.process.wait(20) == 78 and "does not match its hash" in gate.errors()
