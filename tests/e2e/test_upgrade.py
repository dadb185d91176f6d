"""A new program takes over under load: sockets, sessions, spool; or everything stays as it was."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import threading
import time

from harness import MOONGATE, SLOW, Gate, Raw, Sink, Skipped, until
from test_kill import wait_for_banner
from test_reload import SOURCE, Counter, load
from test_sandbox import status_of as rights

SETTINGS = """
return { hostname = "mx.example.com", listen = { env("MOONGATE_LISTEN") }, control = env("MOONGATE_CONTROL"), spool = env("MOONGATE_SPOOL"),
	relay = { domains = { "example.com" }, to = env("MOONGATE_NEXT_HOP") }, retry = { first = "1s" } }
"""


class Adopted:
    """A process that is nobody's child any more: what Popen offers, as far as the harness uses it."""

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        with contextlib.suppress(OSError):
            stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
            return 0 if stat.rpartition(")")[2].split()[0] == "Z" else None
        return 0

    def wait(self, seconds=60):
        until(lambda: self.poll() is not None, f"{self.pid} ends", seconds)
        return 0

    def send_signal(self, number):
        os.kill(self.pid, number)


class Upgradable(Gate):
    """A gateway whose program is a file of its own, to be replaced."""

    def __init__(self, *args, **more):
        super().__init__(*args, settings=SETTINGS, **more)
        self.program = self.dir / "moongate"
        self.install(MOONGATE)

    def install(self, source):
        """As a package manager does: whole, by rename."""
        new = self.dir / "moongate.new"
        shutil.copy(source, new)
        os.chmod(new, 0o755)
        os.rename(new, self.program)

    def install_script(self, text):
        path = self.dir / "script"
        path.write_text(text)
        self.install(path)

    def follow(self, old):
        """The successor is who serves now, and who is stopped at the end."""
        old.wait(60 * SLOW)
        self.process = Adopted(self.status()["pid"])

    def upgrade(self):
        old = self.process
        answer = self.cli("upgrade")
        self.follow(old)
        assert str(self.process.pid) in answer.stdout and self.process.pid != old.pid, answer
        return answer

    def refused(self):
        before = self.process.pid
        answer = self.cli("upgrade", "--control", self.control, check=False)      # settings may be the broken part
        assert answer.returncode == 75, answer
        assert self.process.pid == before and self.process.poll() is None
        return answer.stdout + answer.stderr


def send(gate, n=1):
    with gate.smtp() as client:
        for _ in range(n):
            client.sendmail("a@client.example", ["b@example.com"], b"Subject: x\r\n\r\nx\r\n")


class Sources:
    """smtp-source, 200 sessions at a time, for ever."""

    def __init__(self, gate):
        self.gate, self.runs, self.sent, self.over = gate, [], 0, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            batch = 2000 // SLOW
            process = load(self.gate, 200, batch)
            output = process.communicate()[0]
            self.runs.append((process.returncode, output))
            self.sent += batch

    def stop(self):
        self.over.set()
        self.thread.join()


def test_two_hundred_sessions_do_not_notice_upgrades_good_and_broken():
    if not SOURCE.exists():
        raise Skipped("postfix is not on this machine")
    with Counter() as sink, Upgradable(f"127.0.0.1:{sink.port}") as gate:
        sources, times = Sources(gate), []
        try:
            for step in ("good", "broken program", "good", "broken settings", "good"):
                until(lambda: len(sources.runs) > len(times), "the load goes on", 60)     # noqa: B023
                begin = time.monotonic()
                if step == "good":
                    gate.upgrade()
                elif step == "broken program":
                    gate.install_script("#!/bin/sh\nexit 3\n")
                    assert "exit 3" in gate.refused()
                    gate.install(MOONGATE)
                else:
                    gate.settings.write_text(SETTINGS.replace("retry =", "retri ="))
                    assert "retri" in gate.refused()
                    gate.settings.write_text(SETTINGS)
                times.append(time.monotonic() - begin)
            ran = len(sources.runs)
            until(lambda: len(sources.runs) > ran + 1, "the load goes on", 60)
        finally:
            sources.stop()
        bad = [run for run in sources.runs if run[0] != 0 or run[1]]
        assert not bad, bad[:3]
        until(lambda: gate.status()["queued"] == 0, "the queue is empty", 60)
        until(lambda: sink.count >= sources.sent, f"{sink.count} of {sources.sent} messages at the sink", 30)
        assert sink.count == sources.sent
        assert len(gate.events("upgrade.done")) == 3 and len(gate.events("upgrade.rolled_back")) == 2
        print(f"  {sources.sent} messages, upgrades in {', '.join('%.1f s' % t for t in times)}")


def successor_of(gate):
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[1] == str(gate.process.pid) and \
                    b"successor" in (path.parent / "cmdline").read_bytes():
                return int(path.parent.name)
    return None


class Halfway:
    """An upgrade that waits for a session of the old edges: its sender pauses within a message."""

    def __init__(self, gate):
        self.gate, self.answer = gate, None
        self.client = Raw(gate.port)
        self.client.say("MAIL FROM:<a@client.example>")
        self.client.say("RCPT TO:<b@example.com>")
        self.client.say("DATA")
        self.client.send(b"Subject: half\r\n\r\n")
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()
        self.pid = until(lambda: successor_of(gate), "there is a successor")
        until(lambda: gate.cli("status", "--json", check=False).stdout.find(f'"pid":{self.pid}') > 0, "the successor accepts")

    def ask(self):
        self.answer = self.gate.cli("upgrade", check=False)

    def outcome(self):
        self.thread.join()
        return self.answer.returncode, self.answer.stdout + self.answer.stderr


def is_whole(gate, pid):
    status = gate.status() if gate.cli("status", check=False).returncode == 0 else {"pid": 0}
    return status["pid"] == pid and status["upgrade"] == "none" and all(r["state"] == "ready" for r in status["roles"])


def test_the_old_ones_come_again_when_the_successor_dies_halfway():
    with Sink() as sink, Upgradable(sink.address) as gate:
        old = gate.process.pid
        half = Halfway(gate)
        os.kill(half.pid, signal.SIGKILL)
        code, text = half.outcome()
        assert code == 75 and "signal 9" in text, text
        half.client.send(b"x\r\n.\r\n")
        assert half.client.reply()[0] == 250
        until(lambda: is_whole(gate, old), "the old one is whole", 15)
        send(gate)
        sink.wait(2)
        assert gate.events("upgrade.rolled_back")[0]["stage"] in ("grace", "draining")
        gate.upgrade()                                          # and the next one works
        send(gate)
        sink.wait(3)


def test_a_successor_does_not_outlive_a_master_that_is_killed_halfway():
    with Sink() as sink, Upgradable(sink.address) as gate:
        half = Halfway(gate)
        since = time.monotonic()
        gate.process.kill()
        gate.process.wait()
        gate.start(expect_ready=False)                          # what a service manager does
        assert wait_for_banner(gate.port, since) < 1 * SLOW
        until(lambda: Adopted(half.pid).poll() is not None, "the successor leaves too")
        half.outcome()
        until(lambda: is_whole(gate, gate.process.pid), "the next one is whole", 15)
        send(gate)
        sink.wait(1)


def test_who_does_not_end_in_time_is_cut_and_nobody_else_waits_for_ever():
    with Sink() as sink, Upgradable(sink.address) as gate, Raw(gate.port) as rests:
        old = gate.process
        half = Halfway(gate)
        since = time.monotonic()
        send(gate)                                              # to a new edge; its 250 waits for the spool
        assert time.monotonic() - since < 10 * SLOW
        assert half.outcome()[0] == 0
        assert rests.reply()[0] == 421 and half.client.is_closed()
        gate.follow(old)
        sink.wait(1)


def test_usr2_tells_the_service_manager_who_serves_now():
    with Sink() as sink:
        gate = Upgradable(sink.address)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = gate.dir / "notify"
            manager.bind(str(path))
            os.chmod(path, 0o777)
            manager.settimeout(20 * SLOW)
            gate.env["NOTIFY_SOCKET"] = str(path)
            with gate:
                old, said = gate.process, b""
                old.send_signal(signal.SIGUSR2)
                while b"MAINPID=" not in said:
                    said += manager.recv(4096)
                gate.follow(old)
                assert f"MAINPID={gate.process.pid}\n".encode() in said and b"STOPPING" not in said
                send(gate)
                sink.wait(1)


def test_settings_are_read_anew_and_what_they_may_not_change_is_named():
    with Upgradable() as gate:
        gate.settings.write_text(SETTINGS.replace('spool = env("MOONGATE_SPOOL")', 'spool = env("MOONGATE_SPOOL") .. "2"'))
        assert "`spool`" in gate.refused()
        path = gate.dir / "smtp.sock"
        gate.settings.write_text(SETTINGS.replace("listen = {", f'listen = {{ "unix:{path}",'))
        gate.upgrade()
        assert gate.status()["listeners"].count(f"unix:{path}") == 1 and gate.status()["generation"] == 2
        gate.settings.write_text(SETTINGS)
        before = {key: rights(gate.process.pid)[key] for key in ("CapEff", "CapPrm")}
        gate.upgrade()
        assert {key: rights(gate.process.pid)[key] for key in before} == before, "a successor binds ports as its predecessor could"
        assert all(int(rights(pid)[key], 16) == 0 for pid in gate.pids().values() for key in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
        assert not [at for at in gate.status()["listeners"] if at.startswith("unix:")]
        gate.cli("reload")


def test_a_stop_in_the_middle_of_an_upgrade_stops():
    with Upgradable() as gate:
        half = Halfway(gate)
        gate.process.send_signal(signal.SIGINT)
        gate.process.wait(20 * SLOW)
        half.outcome()
        until(lambda: Adopted(half.pid).poll() is not None, "the successor leaves too")
