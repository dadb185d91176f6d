"""What the end-to-end tests share: a gateway in a folder of its own, a sink that keeps what it gets, waiting without sleeping.

Everything is on loopback; every wait has a deadline; whatever is started is stopped by its pid when the test ends.
"""
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPORA = ROOT.parent / "shared" / "corpora"
MOONGATE = pathlib.Path(os.environ.get("MOONGATE", ROOT / "build" / "moongate"))
RELAY = ROOT / "contrib" / "relay" / "moongate.lua"
LONG = os.environ.get("MOONGATE_LONG") == "1"
SLOW = 4 if "sanitize" in str(MOONGATE) else 1          # deadlines under sanitizers


class Skipped(Exception):
    """The corpora, or a peer, are not on this machine."""


def corpus(name):
    path = CORPORA / name
    if not path.is_dir():
        raise Skipped(f"no {path}")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, what, seconds=10):
    """Ask again and again, with a deadline: for states that no descriptor announces."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * SLOW} s: {what}")
        select.select([], [], [], 0.01)


def folder():
    """A temporary folder that the unprivileged user of the roles can walk through."""
    path = tempfile.mkdtemp(prefix="moongate-e2e.")
    os.chmod(path, 0o777)
    FOLDERS.append(path)
    return pathlib.Path(path)


FOLDERS = []


def clean():
    """After each test: a spool is hundreds of megabytes."""
    while FOLDERS:
        shutil.rmtree(FOLDERS.pop(), ignore_errors=True)


class Gate:
    """A running gateway: the plain relay's settings unless `settings` is the text of others."""

    def __init__(self, next_hop="127.0.0.1:9", domains="example.com", policy=None, settings=None, at=None, **environment):
        self.dir = at or folder()
        self.port = free_port()
        self.control = self.dir / "control.sock"
        self.spool = self.dir / "spool"
        self.events_path = self.dir / "events.jsonl"
        self.errors_path = self.dir / "stderr"
        self.settings = self.dir / "moongate.lua" if settings else RELAY
        self.env = dict(
            os.environ, MOONGATE_LISTEN=f"127.0.0.1:{self.port}", MOONGATE_DOMAINS=domains, MOONGATE_NEXT_HOP=str(next_hop),
            MOONGATE_SPOOL=str(self.spool), MOONGATE_CONTROL=str(self.control), **{k: str(v) for k, v in environment.items()})
        if settings:
            self.settings.write_text(settings)
        if policy is not None:
            self.policy_path = self.dir / "policy" / "policy.lua"
            self.policy_path.parent.mkdir(exist_ok=True)
            self.policy_path.write_text(policy)
            self.env["MOONGATE_POLICY"] = str(self.policy_path)
        self.process = None
        self.program = MOONGATE

    def start(self, expect_ready=True, options=()):
        out = open(self.events_path, "ab")
        err = open(self.errors_path, "ab")
        seen = self.errors_path.stat().st_size
        self.process = subprocess.Popen([self.program, "serve", "--single", *options, "-c", self.settings], env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=out, stderr=err, start_new_session=True)
        out.close()
        err.close()
        if expect_ready:
            until(lambda: b"moongate: ready" in self.errors_path.read_bytes()[seen:] or self.process.poll() is not None,
                  f"ready: {self.errors()}", 30)
            assert self.process.poll() is None, self.errors()
        return self

    def errors(self):
        return self.errors_path.read_text(errors="replace") if self.errors_path.exists() else ""

    def events(self, name=None):
        lines = self.events_path.read_text().splitlines()
        return [e for e in map(json.loads, lines) if name is None or e["event"] == name]

    def cli(self, *words, check=True, binary=False):
        done = subprocess.run([MOONGATE, *map(str, words), "-c", self.settings], env=self.env, capture_output=True, timeout=60 * SLOW,
                              stdin=subprocess.DEVNULL)
        if check:
            assert done.returncode == 0, f"{words}: exit {done.returncode}: {done.stdout!r} {done.stderr!r}"
        if binary:
            return done
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def json(self, *words):
        return [json.loads(line) for line in self.cli(*words, "--json").stdout.splitlines()]

    def status(self):
        return self.json("status")[0]

    def pids(self, role=None):
        return {(r["name"], r["index"]): r["pid"] for r in self.status()["roles"] if role in (None, r["name"])}

    def smtp(self, timeout=30):
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example", timeout=timeout * SLOW)

    def stop(self, how=signal.SIGTERM, seconds=40):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError("the gateway did not stop")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.errors()[-4000:])
            with contextlib.suppress(OSError):
                print("\n".join(self.events_path.read_text().splitlines()[-12:]))
        self.stop()
        errors = self.errors()
        assert "ERROR: " not in errors and "runtime error" not in errors, errors[-6000:]      # sanitizers


class Sink:
    """An SMTP (or LMTP) server that keeps every message byte for byte; `answer(stage, text)` may refuse: it returns a reply or None."""

    def __init__(self, lmtp=False, answer=None):
        self.lmtp = lmtp
        self.answer = answer or (lambda stage, text: None)
        self.messages = []                              # (sender, recipients, bytes after dot-unstuffing)
        self.times = []                                 # of each, monotonic
        self.lock = threading.Condition()
        self.server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.server.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        with contextlib.suppress(OSError, ValueError), peer, peer.makefile("rwb") as f:
            self.converse(f)

    def converse(self, f):
        def reply(text):
            f.write(text.encode() + b"\r\n")
            f.flush()

        reply("220 sink.example")
        sender, rcpts = None, []
        for line in f:
            verb, _, rest = line.rstrip(b"\r\n").decode(errors="replace").partition(" ")
            verb = verb.upper()
            refusal = self.answer(verb, rest)
            if refusal == "close":
                return
            if refusal:
                reply(refusal)
            elif verb in ("EHLO", "LHLO"):
                reply("250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 200000000\r\n250 ENHANCEDSTATUSCODES")
            elif verb == "MAIL":
                sender, rcpts = rest.split(">")[0].partition("<")[2], []
                reply("250 2.1.0 ok")
            elif verb == "RCPT":
                rcpts.append(rest.split(">")[0].partition("<")[2])
                reply("250 2.1.5 ok")
            elif verb == "DATA" and not rcpts:
                reply("554 5.5.1 no valid recipients")
            elif verb == "DATA":
                reply("354 go on")
                body = self.body(f)
                refusal = self.answer(".", body)
                if refusal == "close":
                    return
                if not refusal:
                    with self.lock:
                        self.messages.append((sender, list(rcpts), body))
                        self.times.append(time.monotonic())
                        self.lock.notify_all()
                for _ in rcpts if self.lmtp else [None]:
                    reply(refusal or "250 2.0.0 ok")
            elif verb == "QUIT":
                reply("221 bye")
                return
            else:
                reply("250 ok")

    @staticmethod
    def body(f):
        lines = []
        for line in f:
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)
        raise ValueError("the body has no end")

    def wait(self, count, seconds=20):
        with self.lock:
            assert self.lock.wait_for(lambda: len(self.messages) >= count, seconds * SLOW), \
                f"{len(self.messages)} of {count} messages came"
            return list(self.messages)

    def close(self):
        self.server.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def strip_trace(message):
    """A message without the trace fields that a gateway puts in front: what must be byte for byte the client's."""
    while message.lower().startswith((b"received:", b"return-path:", b"delivered-to:")):
        at = message.index(b"\r\n") + 2
        while message[at:at + 1] in (b" ", b"\t"):
            at = message.index(b"\r\n", at) + 2
        message = message[at:]
    return message


class Raw:
    """A client that sends exactly the bytes it is told to."""

    def __init__(self, port, greet=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20 * SLOW)
        self.file = self.socket.makefile("rb")
        if greet:
            assert self.reply()[0] == 220
            self.say("EHLO client.example")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError("the gateway closed the connection")
            lines.append(line.decode().rstrip("\r\n"))
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(lines)

    def say(self, line):
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def is_closed(self):
        with contextlib.suppress(ConnectionResetError):
            return self.file.read(1) == b""
        return True

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
