"""kill -9 of a random role at a random moment under load: nothing that was acknowledged is lost, and 220 is back within a second."""
import asyncio
import collections
import fcntl
import hashlib
import json
import os
import random
import re
import select
import signal
import threading
import time

from harness import LONG, SLOW, Gate, Raw, Sink, until

CYCLES = 500 if LONG else 30 // SLOW
SESSIONS = 200
CONCURRENCY = 50                                # per destination: deliveries that can be in flight
UNWRITTEN = 100                                 # deliveries whose DONE waits for the lazy batch (50 ms) when the spool is killed
BANNER = 1.0 * SLOW                             # seconds until somebody says 220 again, whoever was killed
SETTINGS = """
return { hostname = "mx.example.com", listen = { env("MOONGATE_LISTEN") }, control = env("MOONGATE_CONTROL"), spool = env("MOONGATE_SPOOL"),
	relay = { domains = { "example.com" }, to = env("MOONGATE_NEXT_HOP") }, retry = { first = "1s", concurrency = %d } }
""" % CONCURRENCY


class Loop(threading.Thread):
    """An asyncio loop of its own, for a sink and clients that are faster than threads."""

    def __init__(self):
        super().__init__(daemon=True)
        self.loop = asyncio.new_event_loop()
        self.start()

    def run(self):
        self.loop.run_forever()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.join()


class FastSink:
    """Keeps a count and a digest per unique id of what it acknowledged."""

    def __init__(self, loop):
        self.got = collections.Counter()
        self.digests = {}
        self.server = loop.call(asyncio.start_server(self.talk, "127.0.0.1", 0, limit=1 << 20, backlog=512)).result()
        self.address = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    async def talk(self, reader, writer):
        try:
            writer.write(b"220 sink\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                elif verb == b"DATA":
                    writer.write(b"354 go\r\n")
                    await writer.drain()
                    body = await reader.readuntil(b"\r\n.\r\n")
                    self.keep(body)
                    writer.write(b"250 2.0.0 kept\r\n")
                elif verb == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    writer.write(b"250 ok\r\n")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def keep(self, body):
        name = re.search(rb"^X-Unique: (\S+)\r$", body, re.M).group(1)
        self.got[name] += 1
        self.digests[name] = hashlib.sha256(body.split(b"\r\n\r\n", 1)[1][:-3]).hexdigest()


class Load:
    """Clients that send unique messages for ever, and remember each one that was answered 250."""

    def __init__(self, gate, seed):
        self.port = gate.port
        self.seed = seed
        self.acknowledged = {}                  # unique name -> digest
        self.serial = 0
        self.stopping = False
        self.refusals = collections.Counter()

    async def run(self):
        await asyncio.gather(*(self.client(n) for n in range(SESSIONS)))

    async def client(self, n):
        chance = random.Random(self.seed * 1000 + n)
        while not self.stopping:
            try:
                await asyncio.wait_for(self.session(chance), 60 * SLOW)
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError):
                await asyncio.sleep(0.02)       # the edge was killed, or is not back yet

    async def session(self, chance):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await self.expect(reader, b"220")
            await self.say(reader, writer, b"EHLO client.example\r\n")
            for _ in range(10):
                if self.stopping:
                    break
                await self.message(reader, writer, chance)
            await self.say(reader, writer, b"QUIT\r\n", b"221")
        finally:
            writer.close()

    async def message(self, reader, writer, chance):
        self.serial += 1
        name = b"%d-%d" % (self.seed, self.serial)
        body = b"%s\r\n" % chance.randbytes(chance.choice((10, 500, 3000))).hex().encode()
        if chance.random() < 0.02:
            body = body * 40                    # now and then one that goes to a slot
        digest = hashlib.sha256(body).hexdigest()
        await self.say(reader, writer, b"MAIL FROM:<a@client.example>\r\n")
        await self.say(reader, writer, b"RCPT TO:<b@example.com>\r\n")
        await self.say(reader, writer, b"DATA\r\n", b"354")
        writer.write(b"X-Unique: %s\r\n\r\n%s.\r\n" % (name, body))
        code = await self.reply(reader)
        if code == b"250":
            self.acknowledged[name] = digest
        else:
            self.refusals[code] += 1

    async def say(self, reader, writer, line, code=b"250"):
        writer.write(line)
        await self.expect(reader, code)

    async def expect(self, reader, code):
        got = await self.reply(reader)
        if got != code:
            raise ValueError(got)

    async def reply(self, reader):
        while True:
            line = await reader.readuntil(b"\r\n")
            if line[3:4] != b"-":
                return line[:3]


def wait_for_banner(port, since):
    """How long until somebody says 220 again."""
    import socket
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
                if s.recv(3) == b"220":
                    return time.monotonic() - since
        except OSError:
            pass
        assert time.monotonic() - since < 30, "nobody answers"
        time.sleep(0.01)


def kill_one(gate, chance):
    """The name of the victim and the deliveries that its end can double."""
    pids = until(lambda: alive(gate), "the roles are known", 20)
    role = chance.choice(["master", "edge", "spool", "deliver", "control", "maildir"])
    since = time.monotonic()
    if role == "master":
        gate.process.kill()
        gate.process.wait()
        gate.start(expect_ready=False)          # what a service manager does: at once
    else:
        victims = [pid for (name, _), pid in pids.items() if name == role and pid > 0]
        os.kill(chance.choice(victims), signal.SIGKILL)
    return role, wait_for_banner(gate.port, since)


def alive(gate):
    answer = gate.cli("status", "--json", check=False)
    if answer.returncode:
        return None
    status = json.loads(answer.stdout)
    ready = all(r["state"] == "ready" for r in status["roles"])
    return {(r["name"], r["index"]): r["pid"] for r in status["roles"]} if ready else None


def test_nothing_acknowledged_is_lost_whoever_is_killed():
    seed = int(os.environ.get("MOONGATE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
    print(f"  seed {seed}")
    chance = random.Random(seed)
    loop = Loop()
    sink = FastSink(loop)
    victims, banners = collections.Counter(), []
    with Gate(sink.address, settings=SETTINGS) as gate:
        load = Load(gate, seed)
        running = loop.call(load.run())
        for _ in range(CYCLES):
            before = len(load.acknowledged)
            target = before + chance.randrange(20, 400 // SLOW)
            until(lambda: len(load.acknowledged) >= target, "the load goes on", 60)     # noqa: B023
            role, seconds = kill_one(gate, chance)
            victims[role] += 1
            banners.append(seconds)
        load.stopping = True
        running.result(120 * SLOW)
        until(lambda: alive(gate), "all roles are back", 20)
        until(lambda: gate.status()["queued"] == 0, "the queue is empty", 120)
        lost = [name for name in load.acknowledged if name not in sink.got]
        assert not lost, f"{len(lost)} of {len(load.acknowledged)} acknowledged messages are lost: {lost[:5]}"
        wrong = [name for name, digest in load.acknowledged.items() if sink.digests[name] != digest]
        assert not wrong, f"damaged: {wrong[:5]}"
        doubles = sum(n - 1 for name, n in sink.got.items())
        dangerous = victims["deliver"] + victims["spool"] + victims["master"]
        print(f"  {len(load.acknowledged)} acknowledged, {doubles} duplicates in {dangerous} kills that can make them, "
              f"refused {dict(load.refusals)}, 220 after at most {max(banners):.2f} s, victims {dict(victims)}")
        assert doubles <= dangerous * (CONCURRENCY + UNWRITTEN), "more than was in flight"
        assert max(banners) <= BANNER, f"220 took {sorted(banners)[-5:]}"
    loop.close()


def test_a_gateway_greets_before_the_spool_is_its_own():
    with Sink() as sink, Gate(sink.address) as gate:
        gate.stop()
        with open(gate.spool / "LOCK", "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)                    # a predecessor that has not left yet
            gate.start(expect_ready=False)
            until(lambda: states(gate).get("spool") == "waiting", "the spool waits")
            assert gate.status()["phase"] == "starting"
            with Raw(gate.port) as client:
                client.say("MAIL FROM:<a@client.example>")
                client.say("RCPT TO:<b@example.com>")
                client.say("DATA")
                client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
                assert not select.select([client.socket], [], [], 0.3)[0], "answered before it could be durable"
                fcntl.flock(lock, fcntl.LOCK_UN)
                assert client.reply()[0] == 250
        until(lambda: gate.status()["phase"] == "serving", "serving")
        sink.wait(1)


def states(gate):
    answer = gate.cli("status", "--json", check=False)
    return {} if answer.returncode else {r["name"]: r["state"] for r in json.loads(answer.stdout)["roles"]}
