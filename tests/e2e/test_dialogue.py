"""tests/dialogue/*.smtp once more, over TCP against the daemon: what the pure machines say is what a client hears.

Each file gets its settings (L: lines) and its policy (P: lines, one handler per hook with a queue) by a reload of one gateway.
"""
import re
import socket

from harness import ROOT, SLOW, Gate, Sink, strip_trace

FILES = sorted((ROOT / "tests" / "dialogue").glob("*.smtp"))

# What cannot be said over TCP: no setting, or none so small.
ONLY_ON_PAPER = {
    "harvest": "limits.refusals has no setting",
    "junk": "limits.junk has no setting",
    "lmtp": "no listener speaks LMTP",
    "long-line": "limits.command_line is at least 512",
    "size": "limits.message is at least 64 KiB",
    "too-many-commands": "limits.commands is at least 10",
}

SETTINGS = """
return { hostname = "mx.example", listen = { env("MOONGATE_LISTEN") }, control = env("MOONGATE_CONTROL"), spool = env("MOONGATE_SPOOL"),
	policy = "policy/policy.lua", domains = { "example.com" }, route = { ["*"] = env("MOONGATE_NEXT_HOP") },
	processes = { edges = 1 }, routing_characters = %(routing)s, limits = { %(limits)s } }
"""
POLICY = """
local gate = require "moongate"
local answers = { %s }
local asked = {}
local function answer(hook)
	return function(first, rcpt)
		if hook == "connect" then asked = {} end
		asked[hook] = (asked[hook] or 0) + 1
		local a = answers[hook] and answers[hook][asked[hook]]
		if a and a[1] ~= "pass" then return gate[a[1]](a[2], a[3], a[4]) end
		if hook == "rcpt" then rcpt:permit() end
	end
end
for _, hook in ipairs { "connect", "ehlo", "mail", "rcpt", "data", "message" } do
	gate.on(hook, { name = hook }, answer(hook))
end
"""
ESCAPE = re.compile(rb"\\(?:(x)(..)|\{(\d+) (.)\}|(.))", re.S)
LETTERS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def octets(text):
    """What a C: or M: line stands for, CRLF included unless a lone backslash takes it away."""
    def one(m):
        if m.group(1):
            return bytes([int(m.group(2), 16)])
        return m.group(4) * int(m.group(3)) if m.group(3) else LETTERS[m.group(5)]

    text = text.encode("latin-1")
    joined = text.endswith(b"\\") and (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
    return ESCAPE.sub(one, text[:-1]) if joined else ESCAPE.sub(one, text) + b"\r\n"


def read(path):
    return [(line[0], line[3:] if line[2:3] == " " else line[2:])
            for line in path.read_text("latin-1").splitlines() if line[1:2] == ":" and line[0] != "#"]


def policy_of(lines):
    hooks = {}
    for letter, text in lines:
        if letter == "P":
            hook, verdict, *rest = text.split(" ", 4)
            code, esc, words = [*rest, None, None, None][:3]
            value = ", ".join([f'"{verdict}"', code or "nil", f'"{esc}"' if esc else "nil", f'"{words}"' if words else "nil"])
            hooks.setdefault(hook, []).append("{ %s }" % value)
    return POLICY % ", ".join(f"{hook} = {{ {', '.join(queue)} }}" for hook, queue in hooks.items())


def settings_of(lines):
    values = dict(text.split(" ") for letter, text in lines if letter == "L")
    routing = "true" if values.pop("routing_characters", "no") == "yes" else "false"
    return SETTINGS % {"routing": routing, "limits": ", ".join(f"{k} = {v}" for k, v in values.items())}


class Player:
    def __init__(self, path, gate, sink, trickle):
        self.name, self.sink, self.trickle = path.name, sink, trickle
        self.socket = socket.create_connection(("127.0.0.1", gate.port), timeout=10 * SLOW)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.coming = None                      # a reply that was looked at and not used up
        self.delivered = len(sink.messages)
        self.want = b""

    def take(self):
        lines = []
        while True:
            line = self.file.readline()
            assert line, f"closed after {lines}"
            lines.append(line.decode("latin-1").rstrip("\r\n"))
            if line[3:4] == b" ":
                return lines

    def peek(self):
        self.coming = self.coming or self.take()
        return self.coming

    def expect(self, text):
        if text == "closed":
            assert self.coming is None and self.is_over(), "not closed"
        elif text[3:4] == "-":
            assert any(line[:3] == text[:3] and line[4:].startswith(text[4:]) for line in self.peek()), self.peek()
        else:
            assert self.peek()[-1].startswith(text), self.peek()
            self.delivered += text[:3] == "250" and "2.6.0" in self.peek()[-1]
            self.coming = None

    def is_over(self):
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:            # we said more than it wanted to hear
            return True

    def send(self, data):
        try:
            for piece in ([bytes([b]) for b in data] if self.trickle else [data]):
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass                                # it closes in the middle of the group: S: lines say so

    def check_message(self):
        if self.want:
            body = self.sink.wait(self.delivered)[self.delivered - 1][2]
            assert body.endswith(self.want), body
            assert strip_trace(body[:len(body) - len(self.want)]) in (b"", b"\r\n"), body     # an empty line where there was no header
        self.want = b""

    def play(self, lines):
        group = b""
        for letter, text in [*lines, ("end", "")]:
            if letter == "C":
                group += octets(text)
                continue
            if group:
                self.check_message()
                assert self.coming is None, f"nobody asked for {self.coming}"
                self.send(group)
                group = b""
            if letter == "S":
                self.expect(text)
            elif letter == "M":
                self.want += octets(text)
        self.check_message()
        assert self.coming is None, f"nobody asked for {self.coming}"
        self.file.close()
        self.socket.close()


def play(path, gate, sink):
    lines = read(path)
    gate.settings.write_text(settings_of(lines))
    gate.policy_path.write_text(policy_of(lines))
    gate.cli("reload")
    is_long = sum(len(octets(text)) for letter, text in lines if letter == "C") > 4096
    for trickle in (False,) if is_long or SLOW > 1 else (False, True):
        try:
            Player(path, gate, sink, trickle).play(lines)
        except Exception as why:
            raise AssertionError(f"{path.name}{', octet by octet' if trickle else ''}: {why}") from why


def test_every_dialogue_goes_as_written_over_tcp():
    assert len(FILES) >= 50
    with Sink() as sink, Gate(sink.address, settings=settings_of([]), policy=policy_of([])) as gate:
        for path in FILES:
            if path.stem in ONLY_ON_PAPER:
                print(f"  only on paper: {path.stem}: {ONLY_ON_PAPER[path.stem]}")
            else:
                play(path, gate, sink)
        assert all(r["restarts"] == 0 for r in gate.status()["roles"])
