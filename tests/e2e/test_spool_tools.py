"""moongate spool stats, export, import, adopt: with the gateway up, down, on a copy, and on damaged ones."""
import hashlib
import io
import json
import os
import select
import shutil
import signal
import subprocess
import tarfile
import time

from harness import MOONGATE, SLOW, Gate, Sink, until
from test_operator import MESSAGE, give, queued, send

BIG = MESSAGE + b"0123456789abcdef\r\n" * 20000         # it goes to a slot


def filled(gate, count=4):
    """Messages with two recipients each, the last one big; one of them held."""
    for number in range(count - 1):
        send(gate, "b@example.com", "c@example.com", message=MESSAGE + b"%d\r\n" % number)
    send(gate, "b@example.com", message=BIG)
    names = sorted(row["id"] for row in queued(gate, count=count))
    gate.cli("queue", "hold", names[0])
    queued(gate, "held")
    until(lambda: gate.json("spool", "stats")[0]["states"]["held"] == 1, "the hold is on the disk")
    return names


def exported(path):
    """{stem: (side file, message)} of an exported folder."""
    stems = {p.name[:-5] for p in path.glob("*.json")}
    assert stems == {p.name[:-4] for p in path.glob("*.eml")}
    return {s: (json.loads((path / f"{s}.json").read_text()), (path / f"{s}.eml").read_bytes()) for s in stems}


def shown(gate, name, *where):
    """A message as `spool show` tells it: the bytes behind the envelope."""
    return gate.cli("spool", "show", name, *where, binary=True).stdout.split(b"\n\n", 1)[1]


def slot_of(spool):
    """The one that is in use."""
    return max((p for p in (spool / "big").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_stats_tell_what_a_spool_holds():
    gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
    with gate:
        empty = gate.json("spool", "stats")[0]
        assert empty["messages"] == 0 and "oldest" not in empty and empty["segments"]["free"] > 0
        filled(gate)
        up = gate.json("spool", "stats")[0]
        assert (up["messages"], up["recipients"], up["left"]) == (4, 7, 7)
        assert up["states"]["held"] == 1 and up["states"]["waiting"] == 3
        assert up["slots"]["used"] == 1 and 360_000 < up["bytes"]["slots"] < 400_000
        assert 0 < up["bytes"]["live"] < up["bytes"]["written"] <= up["bytes"]["segments"]
        assert up["bytes"]["dead"] == up["bytes"]["written"] - up["bytes"]["live"]
        assert up["segments"]["suspect"] == up["segments"]["broken"] == 0 and up["segments"]["open"] == 1
        assert up["damage"] == up["unreadable"] == 0 and up["oldest"].startswith("20")
    down = gate.json("spool", "stats")[0]
    assert down["messages"] == 4 and down["states"] == up["states"]
    text = gate.cli("spool", "stats").stdout
    assert "4, 7 of 7 recipients left" in text and "1 held" in text
    copy = gate.dir / "copy"
    shutil.copytree(gate.spool, copy)
    slot_of(copy).unlink()
    torn = gate.json("spool", "stats", copy)[0]
    assert torn["messages"] == 4 and torn["unreadable"] == 1, torn


def test_export_is_byte_for_byte_what_was_accepted():
    gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
    with gate:
        names = filled(gate)
        up = gate.dir / "up"
        gate.cli("spool", "export", "--all", up)
        messages = exported(up)
        assert sorted(side["id"] for side, _ in messages.values()) == names
        for stem, (side, message) in messages.items():
            assert stem == f"{side['id']}.{side['variant']}"
            assert message == shown(gate, stem) and message.endswith((MESSAGE[-6:], b"\r\n"))
            assert side["size"] == len(message) and side["from"] == "a@client.example"
            assert side["blake2b"] == hashlib.blake2b(message, digest_size=32).hexdigest()
            assert message[side["header"]:].startswith(b"\r\n") and f"id: {side['id']}" in side["envelope"]
        assert [side["state"] for side, _ in messages.values() if side["id"] == names[0]] == ["held"]
        assert {tuple(side["to"]) for side, _ in messages.values()} == {("b@example.com", "c@example.com"), ("b@example.com",)}
    one = gate.dir / "one"
    told = json.loads(gate.cli("spool", "export", names[1], one, "--json").stdout)
    assert told["messages"] == 1 and list(exported(one)) == [f"{names[1]}.0"]
    stream = gate.cli("spool", "export", "--all", "-", binary=True)
    with tarfile.open(fileobj=io.BytesIO(stream.stdout)) as tar:
        assert {m.name: tar.extractfile(m).read() for m in tar} == {p.name: p.read_bytes() for p in up.iterdir()}
    missing = gate.cli("spool", "export", "01m00000000000000000000000", one, check=False)
    assert missing.returncode == 1 and "no message" in missing.stderr
    for words in (["--all"], [one], ["--all", names[0], one], ["nonsense", one], ["--al", one]):
        assert gate.cli("spool", "export", *words, check=False).returncode == 64, words
    assert "did you mean `--all`" in gate.cli("spool", "export", "--al", one, check=False).stderr
    assert gate.cli("spool", "export", "--all", one, "--spool", gate.dir / "nowhere", check=False).returncode == 66


def test_export_of_a_damaged_copy_gives_the_rest_and_says_so():
    gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
    with gate:
        filled(gate)
    copy = gate.dir / "copy"
    shutil.copytree(gate.spool, copy)
    segment = next(p for p in sorted((copy / "seg").iterdir()) if b"\r\n1\r\n" in p.read_bytes())
    with open(segment, "r+b") as file:
        file.seek(segment.read_bytes().index(b"\r\n1\r\n"))
        file.write(b"\r\n9\r\n")
    slot_of(copy).unlink()
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)   # reading is all that is needed
    answer = gate.cli("spool", "export", "--all", gate.dir / "rest", "--spool", copy, check=False)
    assert answer.returncode == 1 and "slot is missing" in answer.stderr and "damaged" in answer.stderr, answer
    assert len(exported(gate.dir / "rest")) == 2
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o700)


def dead_node(count=4, keep=None):
    """The spool of a node that is gone, and what was in it."""
    gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
    with gate:
        filled(gate, count)
        until(lambda: gate.json("spool", "stats")[0]["states"]["waiting"] == count - 1, "all are tried")
        rows = {row["id"]: row for row in gate.json("queue", "list")}
    return gate.spool, rows


def same(now, then):
    """What of a message must survive the change of node."""
    return [now[key] for key in ("id", "variant", "state", "left", "recipients", "destination", "last")] == \
           [then[key] for key in ("id", "variant", "state", "left", "recipients", "destination", "last")] and \
        abs((now["next"] - now["age"]) - (then["next"] - then["age"])) < 3600


def test_adopt_takes_over_every_message_with_its_state():
    for running in (True, False):
        spool, rows = dead_node()
        gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
        if running:
            with gate:
                told = gate.json("spool", "adopt", spool)[0]
                now = {row["id"]: row for row in gate.json("queue", "list")}
        else:
            with gate:
                pass                                    # it has run before, and is down
            told = gate.json("spool", "adopt", spool)[0]
        assert told == {"adopted": 4, "known": 0, "refused": 0, "unreadable": 0, "damaged": 0, "complete": True}
        with gate:
            later = {row["id"]: row for row in gate.json("queue", "list")}
            assert all(same(later[name], row) for name, row in rows.items()) and len(later) == 4, (rows, later)
            again = gate.json("spool", "adopt", spool)[0]
            assert (again["adopted"], again["known"], again["complete"]) == (0, 4, True)
            assert gate.status()["queued"] == 4
        if running:
            assert all(same(now[name], row) for name, row in rows.items())
        old = Gate("127.0.0.1:9", at=spool.parent)
        assert old.start(expect_ready=False).process.wait(40 * SLOW) != 0, "its old node does not start any more"
        assert "ADOPTED" in old.errors()


def many(count):
    """A dead spool with `count` messages, each with its number in it."""
    gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1s")
    with gate:
        with gate.smtp() as client:
            for number in range(count):
                client.sendmail("a@client.example", ["b@example.com"], MESSAGE + b"number %d.\r\n" % number)
                if number % 500 == 499:
                    client.quit()
                    client.connect("127.0.0.1", gate.port)
        until(lambda: gate.status()["queued"] == count, "all are there")
    gate.cli("spool", "verify")
    return gate.spool


def numbers(sink):
    """In the order in which they came."""
    return [int(body.rsplit(b"number ", 1)[1].split(b".")[0]) for _, _, body in sink.messages]


def step(run):
    """Lets it run for a moment, then holds it: however fast it is, what is killed is killed in its middle."""
    run.send_signal(signal.SIGCONT)
    select.select([], [], [], 0.003)
    run.send_signal(signal.SIGSTOP)
    return run.poll() is not None


def test_an_adoption_that_is_killed_goes_on_where_it_stopped():
    count = 1500
    spool = many(count)
    with Sink() as sink, Gate(sink.address, MOONGATE_RETRY="1s") as gate:
        for victim in ("tool", "spool", None):          # killed in the middle, one after the other
            run = subprocess.Popen([MOONGATE, "spool", "adopt", spool, "-c", gate.settings], env=gate.env, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
            had = adopted(spool)
            if victim:
                until(lambda: step(run) or adopted(spool) >= had + 200, "it goes on")      # noqa: B023
            if victim == "tool":
                run.kill()
            elif victim == "spool":
                killed = time.monotonic()
                os.kill(gate.pids("spool")["spool", 0], signal.SIGKILL)
                run.send_signal(signal.SIGCONT)
            out, err = run.communicate(timeout=60 * SLOW)
            print(f"  {victim}: {adopted(spool)} of {count}, exit {run.returncode} {out} {err}")
            if victim == "spool":
                assert run.returncode == 75 and b"restarted" in err + out, (run.returncode, out, err)
                until(lambda: all(r["state"] == "ready" for r in gate.status()["roles"]), "it is back")
        assert run.returncode == 0 and b"complete: true" in out
        sink.wait(count, 60)
        until(lambda: gate.status()["queued"] == 0, "nothing is left")
        got = numbers(sink)
        assert set(got) == set(range(count)), "nothing is lost"
        # Progress is lazy: 50 ms, and the commit that it then goes into. What was noted before that does not come again.
        first = {}
        for number, at in zip(got, sink.times):
            if first.setdefault(number, at) != at:
                assert first[number] > killed - 0.25 * SLOW, f"{number} came again, {killed - first[number]:.3f} s after it was delivered"


def adopted(spool):
    path = spool / "ADOPTED"
    return sum(len(line) == 26 for line in path.read_text().splitlines()) if path.exists() else 0


def test_a_live_spool_is_not_adopted():
    with Gate("127.0.0.1:9", MOONGATE_RETRY="1h") as live, Gate("127.0.0.1:9", MOONGATE_RETRY="1h") as gate:
        send(live)
        answer = gate.cli("spool", "adopt", live.spool, check=False)
        assert answer.returncode == 75, answer
        assert f"process {live.pids('spool')['spool', 0]}" in answer.stderr, answer.stderr
        assert not (live.spool / "ADOPTED").exists() and live.status()["queued"] == 1 and gate.status()["queued"] == 0
        assert gate.cli("spool", "adopt", gate.spool, check=False).returncode == 75, "not even our own"
    assert gate.cli("spool", "adopt", gate.dir / "nowhere", check=False).returncode == 66


def test_adoption_of_a_damaged_spool_takes_what_is_legible():
    spool, rows = dead_node()
    segment = next(p for p in sorted((spool / "seg").iterdir()) if b"\r\n1\r\n" in p.read_bytes())
    with open(segment, "r+b") as file:
        file.seek(segment.read_bytes().index(b"\r\n1\r\n"))
        file.write(b"\r\n9\r\n")
    with Gate("127.0.0.1:9", MOONGATE_RETRY="1h") as gate:
        answer = gate.cli("spool", "adopt", spool, "--json", check=False)
        told = json.loads(answer.stdout)
        assert answer.returncode == 1 and told["adopted"] == 3 and told["damaged"] >= 1 and told["complete"], answer
        assert "damage" in answer.stderr and gate.status()["queued"] == 3


# ---- import ----------------------------------------------------------------------------------------


def imported(gate, *words, code=0):
    """{id: outcome} of an import."""
    answer = gate.cli("spool", "import", *words, "--json", check=False)
    assert answer.returncode == code, answer
    return {row["id"] or row["name"]: row["outcome"] for row in map(json.loads, answer.stdout.splitlines())}


def taken_out():
    """A folder with what a node exported, and its rows."""
    gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
    with gate:
        filled(gate)
        until(lambda: gate.json("spool", "stats")[0]["states"]["waiting"] == 3, "all are tried")
        rows = {row["id"]: row for row in gate.json("queue", "list")}
        gate.cli("spool", "export", "--all", gate.dir / "out")
    return gate.dir / "out", rows


def test_what_was_exported_goes_on_elsewhere_once():
    out, rows = taken_out()
    names = sorted(rows)
    stream = b"".join(subprocess.run(["tar", "-C", out, "-cf", "-", "."], capture_output=True, check=True).stdout for _ in range(1))
    gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
    with gate:
        assert imported(gate, out / f"{names[1]}.0.eml") == {names[1]: "imported"}
        assert imported(gate, out) == {n: "known" if n == names[1] else "imported" for n in names}
        now = {row["id"]: row for row in gate.json("queue", "list")}
        assert all(same(now[name], row) for name, row in rows.items()) and len(now) == 4
        (gate.dir / "all.tar").write_bytes(stream)
        assert set(imported(gate, gate.dir / "all.tar").values()) == {"known"}
        gate.cli("spool", "export", "--all", gate.dir / "again")
        assert exported(gate.dir / "again") == exported(out), "not a byte, and nothing that is known, was lost"
        fresh = imported(gate, out, "--new-ids")
        assert set(fresh.values()) == {"imported"} and len(fresh) == 4 and not set(fresh) & set(names)
        assert gate.status()["queued"] == 8 and len([r for r in gate.json("queue", "list") if r["state"] == "held"]) == 2
    down = Gate("127.0.0.1:9", MOONGATE_RETRY="1h")
    give(down.dir)
    answer = subprocess.run([MOONGATE, "spool", "import", "-", "-c", down.settings], env=down.env, input=stream, capture_output=True,
                            timeout=60 * SLOW)
    assert answer.returncode == 0 and b"4 messages imported" in answer.stderr, answer
    assert set(imported(down, out).values()) == {"known"}
    with down:
        now = {row["id"]: row for row in down.json("queue", "list")}
        assert all(same(now[name], row) for name, row in rows.items()) and len(now) == 4


def test_a_message_from_elsewhere_is_delivered():
    with Sink() as sink, Gate(sink.address) as gate:
        box = gate.dir / "box"
        box.mkdir()
        (box / "one.eml").write_bytes(MESSAGE)
        (box / "one.json").write_text(json.dumps({"from": "a@client.example", "to": ["B@EXAMPLE.com", "c@example.com"]}))
        (box / "all-header.eml").write_bytes(b"Subject: x\r\n")
        (box / "all-header.json").write_text(json.dumps({"from": "", "to": ["d@example.com"], "id": "01m00000000000000000000000"}))
        told = imported(gate, box)
        assert set(told.values()) == {"imported"} and told["01m00000000000000000000000"] == "imported"
        got = sorted(sink.wait(2))
        assert got[0] == ("", ["d@example.com"], b"Subject: x\r\n")
        assert got[1] == ("a@client.example", ["B@example.com", "c@example.com"], MESSAGE)
        assert len(gate.events("queue.carried")) == 2


def test_an_import_names_what_is_wrong_and_takes_the_rest():
    out, rows = taken_out()
    names = sorted(rows)
    changed = out / f"{names[1]}.0.eml"
    changed.write_bytes(changed.read_bytes().replace(b"body", b"BODY"))
    bad = {"lf": (MESSAGE.replace(b"\r\n", b"\n"), '{"from":"","to":["b@example.com"]}'),
           "cr": (b"a: b\r\n\r\nx\ry\r\n", '{"from":"","to":["b@example.com"]}'),
           "end": (b"a: b\r\n\r\nx", '{"from":"","to":["b@example.com"]}'),
           "json": (MESSAGE, '{"from":'), "nobody": (MESSAGE, '{"from":"","to":[]}'), "type": (MESSAGE, '{"from":7,"to":["b@example.com"]}'),
           "address": (MESSAGE, '{"from":"","to":["b example.com"]}'), "alone": (MESSAGE, None),
           "newer": (MESSAGE, '{"moongate":2,"from":"","to":["b@example.com"]}')}
    for name, (message, side) in bad.items():
        (out / f"{name}.eml").write_bytes(message)
        if side:
            (out / f"{name}.json").write_text(side)
    with Gate("127.0.0.1:9", MOONGATE_RETRY="1h") as gate:
        answer = gate.cli("spool", "import", out, check=False)
        assert answer.returncode == 1 and "3 messages imported" in answer.stderr and "10 unusable" in answer.stderr, answer
        lines = {line.split(": ")[0].rsplit("/", 1)[1]: line for line in answer.stdout.splitlines() if "unusable" in line}
        for name, word in (("lf", "CRLF"), ("cr", "CRLF"), ("end", "end with CRLF"), ("json", "line 1"), ("nobody", "`to`"),
                           ("type", "`from`"), ("address", "b example.com"), ("alone", "no .json"), ("newer", "another release"),
                           (f"{names[1]}.0", "was changed since")):
            assert word in lines[name], (name, lines)
        assert gate.status()["queued"] == 3
        for words, code in (([gate.dir / "nowhere"], 66), ([gate.settings], 66), ([], 64), (["--new-id", out], 64)):
            assert gate.cli("spool", "import", *words, check=False).returncode == code, words
