"""A sealed spool: no plain byte on the disk, whatever happens to it; keys that are missing, wrong, rotated; what works without a key."""
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess

from harness import MOONGATE, SLOW, Gate, Sink, until

SETTINGS = """
return { hostname = "mx.example.com", listen = { env("MOONGATE_LISTEN") }, control = env("MOONGATE_CONTROL"), spool = env("MOONGATE_SPOOL"),
	relay = { domains = { "example.com" }, to = env("MOONGATE_NEXT_HOP") }, retry = { first = "%s" },
	store = { segment = "2MiB", segments = 32, reserve = 0 }, %s }
"""
KEYED = 'spool_key = "spool.key"'
POLICY = """
local gate = require "moongate"
gate.on("rcpt", function(tx, rcpt)
	tx.vars.secret = "xyzzy-vars"
	rcpt:permit()
end)
"""
MARKS = [b"xyzzy-subject", b"xyzzy-body", b"xyzzy-sender", b"xyzzy-rcpt", b"xyzzy-vars", b"xyzzy-reply", b"xyzzy-big"]


def gate_with(more=KEYED, next_hop="127.0.0.1:9", first="1h", key=True, **options):
    gate = Gate(next_hop, settings=SETTINGS % (first, more), **options)
    if key:
        gate.cli("spool", "key", "new")
    return gate


def resettle(gate, more, first="1h"):
    gate.settings.write_text(SETTINGS % (first, more))


def message(n=0, big=0):
    body = b"xyzzy-body %d\r\n" % n + b"xyzzy-big line of a big body\r\n" * (big // 30)
    return b"From: a@client.example\r\nSubject: xyzzy-subject %d\r\n\r\n" % n + body


def send(gate, count=1, big=0):
    with gate.smtp() as client:
        for n in range(count):
            client.sendmail("xyzzy-sender@client.example", ["xyzzy-rcpt@example.com"], message(n, big))


def files(path):
    return [p for p in path.rglob("*") if p.is_file()]


def marks_in(path):
    """In every file but the rules that were committed last, which are no message and quote the marks."""
    return {mark for p in files(path) if p.name != "last-good" for mark in MARKS if mark in p.read_bytes()}


def key_status(gate):
    rows = gate.json("spool", "key", "status")
    return {r["key"]: r for r in rows if "key" in r}, next(r["plain"] for r in rows if "plain" in r)


def rows_of(answer):
    return len(answer.stdout.splitlines()) if answer.returncode == 0 else None


def listed(gate, *more):
    return [m for m in gate.json("spool", "ls", *more) if "id" in m]


def test_no_plain_byte_of_a_message_reaches_the_disk():
    tried = []

    def refuse(stage, text):
        if stage == "RCPT":
            tried.append(text)
            return "451 4.0.0 xyzzy-reply"
        return None

    with Sink(answer=refuse) as sink, gate_with(next_hop=sink.address, policy=POLICY, more=KEYED + ', policy = "policy/policy.lua"') as gate:
        send(gate, 5)
        send(gate, 2, big=400_000)
        until(lambda: len(tried) == 7 and all(m["state"] == "waiting" for m in gate.json("queue", "list")), "all were tried")
        gate.stop()
        rows = listed(gate)
        assert len(rows) == 7 and marks_in(gate.spool) == set()
        flip(gate.spool / "seg", rows[0])
        gate.start()                                            # something goes to corrupt/
        until(lambda: len(gate.json("queue", "list")) == 6, "the others are there")
        assert files(gate.spool / "corrupt") and marks_in(gate.spool) == set()
        shown = gate.cli("spool", "show", gate.json("queue", "list")[0]["id"], binary=True).stdout
        assert b"xyzzy-subject" in shown and b"xyzzy-vars" not in shown.split(b"\r\n\r\n")[-1]
    # and the same without a key, so that the marks can be found at all
    with Sink(answer=refuse) as sink, gate_with("", next_hop=sink.address, key=False) as gate:
        send(gate, 1, big=400_000)
        until(lambda: len(tried) == 8, "it was tried")
        gate.stop()
        assert {b"xyzzy-subject", b"xyzzy-sender", b"xyzzy-rcpt", b"xyzzy-big"} <= marks_in(gate.spool)


def flip(segments, row):
    """One bit in the middle of a message's record: of the first one in its segment."""
    path = segments / f"{row['segment']:08}"
    data = bytearray(path.read_bytes())
    data[4096 + 64 + 48 + 200] ^= 1
    path.write_bytes(data)


def test_big_and_small_messages_come_out_as_they_went_in():
    with Sink() as sink, gate_with(next_hop=sink.address) as gate:
        for n, size in enumerate((0, 60_000, 70_000, 32_768 * 5, 3_000_000)):
            with gate.smtp() as client:
                client.sendmail("a@client.example", ["b@example.com"], message(n, size))
        got = sink.wait(5)
        for sender, rcpts, body in got:
            n = int(body.partition(b"xyzzy-subject ")[2].split()[0])
            assert body.endswith(message(n, (0, 60_000, 70_000, 32_768 * 5, 3_000_000)[n]))


def test_a_restart_and_a_kill_find_everything_again():
    with Sink() as sink, gate_with() as gate:
        send(gate, 20)
        send(gate, 3, big=200_000)
        os.kill(gate.pids("spool")["spool", 0], signal.SIGKILL)
        until(lambda: rows_of(gate.cli("queue", "list", "--json", check=False)) == 23, "all are back", 20)
        gate.process.kill()
        gate.process.wait()
        gate.env["MOONGATE_NEXT_HOP"] = sink.address
        gate.start()
        gate.cli("queue", "retry", "all", "--reroute")
        sizes = sorted(len(m[2]) for m in sink.wait(23))
        assert sizes[-3] > 200_000


def test_turned_on_and_off_old_messages_drain():
    with Sink() as sink, gate_with("", key=False) as gate:
        send(gate, 4)
        gate.stop()
        resettle(gate, KEYED)
        gate.cli("spool", "key", "new")
        gate.start()
        send(gate, 3, big=100_000)
        keys, plain = key_status(gate)
        assert plain >= 1 and len(keys) == 1 and sum(k["segments"] for k in keys.values()) >= 1
        assert len(gate.json("queue", "list")) == 7
        gate.stop()
        resettle(gate, KEYED + ", spool_sealed = false")
        gate.start()
        send(gate, 2)
        assert len(gate.json("queue", "list")) == 9
        gate.stop()
        gate.env["MOONGATE_NEXT_HOP"] = sink.address
        resettle(gate, KEYED, "1s")
        gate.start()
        gate.cli("queue", "retry", "all", "--reroute")
        sink.wait(9)
        # what is drained is blanked before it is sealed: nothing plain is left but in segments that still are plain
        until(lambda: gate.status()["queued"] == 0, "the queue is empty")
        send(gate, 1)


def test_without_its_key_a_spool_does_not_start_and_is_left_alone():
    with gate_with() as gate:
        send(gate, 3)
        gate.stop()
        before = {p: p.read_bytes() for p in files(gate.spool) if p.parent.name == "seg"}
        key = gate.dir / "spool.key"
        name = next(iter(key_status(gate)[0]))
        kept = key.read_bytes()
        # none at all
        resettle(gate, "")
        gate.start(expect_ready=False)
        until(lambda: gate.process.poll() is not None or name in gate.errors(), "refused")
        gate.process.kill()
        gate.process.wait()
        assert name in gate.errors() and "spool_key" in gate.errors()
        # another one
        resettle(gate, KEYED)
        key.unlink()
        gate.cli("spool", "key", "new")
        gate.start(expect_ready=False)
        until(lambda: "put its line back" in gate.errors(), "refused")
        gate.process.kill()
        gate.process.wait()
        status = gate.cli("spool", "key", "status", check=False)
        assert status.returncode == 1 and f"{name}" in status.stdout and "MISSING" in status.stdout
        # a file that others may read, and one that was edited
        os.chmod(key, 0o644)
        answer = gate.cli("check", check=False)
        assert answer.returncode == 78 and "chmod 600" in answer.stderr, answer.stderr
        os.chmod(key, 0o600)
        key.write_bytes(kept.replace(name.encode(), b"0123456789abcdef"))
        answer = gate.cli("check", check=False)
        assert answer.returncode == 78 and "line 3: the id does not belong to the key" in answer.stderr, answer.stderr
        assert {p: p.read_bytes() for p in before} == before
        key.write_bytes(kept)
        gate.start()
        assert len(gate.json("queue", "list")) == 3


def moongate(*words):
    return subprocess.run([MOONGATE, *map(str, words)], capture_output=True, text=True, timeout=60 * SLOW)


def test_verify_needs_no_key_and_the_other_tools_say_which():
    with gate_with() as gate:
        send(gate, 3)
        send(gate, 1, big=200_000)
        gate.stop()
        rows = listed(gate)
        copy = gate.dir / "copy"
        shutil.copytree(gate.spool, copy)
        done = moongate("spool", "verify", copy)
        assert done.returncode == 0 and "4 messages" in done.stdout and "sealed" in done.stdout, done
        name = next(iter(key_status(gate)[0]))
        done = moongate("spool", "ls", copy)
        assert done.returncode != 0 and name in done.stderr and "--key" in done.stderr, done
        done = moongate("spool", "ls", copy, "--key", gate.dir / "spool.key")
        assert done.returncode == 0 and "4 messages" in done.stdout, done
        done = moongate("spool", "show", rows[-1]["id"], copy, "--key", gate.dir / "spool.key")
        assert done.stdout.count("xyzzy-big") == 200_000 // 30, done
        # a flipped byte is found without a key too: in a record, in a slot
        slot = next(p for p in files(copy / "big") if p.stat().st_size)
        data = bytearray(slot.read_bytes())
        data[50_000] ^= 1
        slot.write_bytes(data)
        flip(copy / "seg", rows[0])
        done = moongate("spool", "verify", copy)
        assert done.returncode == 1 and "other bytes" in done.stdout and "checksum" in done.stdout, done


async def load(gate, state):
    while not state["stop"]:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
            await reader.readline()
            for line in (b"EHLO c\r\n", *[b"MAIL FROM:<a@client.example>\r\n", b"RCPT TO:<b@example.com>\r\n", b"DATA\r\n",
                                         b"Subject: load\r\n\r\n" + random.randbytes(800).hex().encode() + b"\r\n.\r\n"] * 20):
                writer.write(line)
                while (answer := await reader.readline())[3:4] == b"-":
                    pass
                if line.startswith(b"Subject"):
                    state["ok" if answer.startswith(b"250") else "refused"] += 1
            writer.close()
        except OSError:
            await asyncio.sleep(0.01)


def test_keys_are_rotated_under_load():
    state = {"stop": False, "ok": 0, "refused": 0}

    async def run():
        loop = asyncio.get_running_loop()
        clients = [asyncio.create_task(load(gate, state)) for _ in range(10)]
        while state["ok"] < 50:
            await asyncio.sleep(0.01)
        for _ in range(3):
            await loop.run_in_executor(None, rotate, gate)
        state["stop"] = True
        await asyncio.gather(*clients)

    with Sink() as sink, gate_with() as gate:
        asyncio.run(run())
        assert state["refused"] == 0, state
        keys, _ = key_status(gate)
        assert len(keys) == 4
        gate.stop()
        # the older keys are not needed any more: only the last line stays
        key = gate.dir / "spool.key"
        key.write_bytes(key.read_bytes().splitlines(keepends=True)[-1])
        gate.env["MOONGATE_NEXT_HOP"] = sink.address
        gate.start()
        gate.cli("queue", "retry", "all", "--reroute")
        sink.wait(state["ok"], 60)


def rotate(gate):
    gate.cli("spool", "key", "rotate")
    until(lambda: all(k["current"] or k["segments"] == 0 for k in key_status(gate)[0].values()), "all are wrapped by the new key")


def test_a_key_in_use_cannot_be_taken_away():
    with gate_with() as gate:
        send(gate, 2)
        key = gate.dir / "spool.key"
        kept = key.read_bytes()
        key.unlink()
        gate.cli("spool", "key", "new")
        answer = gate.cli("reload", check=False)
        assert answer.returncode == 78 and "keep its line" in answer.stdout + answer.stderr, answer
        send(gate, 1)
        key.write_bytes(kept)
        assert gate.cli("reload").returncode == 0
        gate.stop()
        gate.start()
        assert len(gate.json("queue", "list")) == 3


def test_a_credential_of_the_service_manager():
    credentials = None
    gate = gate_with('spool_key = "credential:moongate.key"', key=False)
    answer = gate.cli("check", check=False)
    assert answer.returncode == 78 and "LoadCredential=moongate.key" in answer.stderr, answer.stderr
    credentials = gate.dir / "credentials"
    credentials.mkdir()
    gate.cli("spool", "key", "new", credentials / "moongate.key")
    gate.env["CREDENTIALS_DIRECTORY"] = str(credentials)
    with gate:
        send(gate, 2)
        assert gate.cli("reload").returncode == 0
        assert marks_in(gate.spool) == set()
        assert json.loads(gate.cli("spool", "key", "status", "--json").stdout.splitlines()[0])["current"]
