"""What the processes may not do, seen from outside: /proc of each, and the end of one that makes a forbidden call."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import smtplib
import subprocess

from harness import Gate, Sink, Skipped, until

NET_BIND = 1 << 10                              # the master's only capability: ports below 1024 at a reload
ROLES = ("edge", "spool", "deliver", "control", "maildir")


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def mappings(pid):
    return [line.split() for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()]


def open_files(pid):
    links = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(os.readlink(fd))
    return links


def busy(gate):
    """Every role has worked: it is past its start, and the sandbox is closed."""
    with gate.smtp() as client:
        client.sendmail("a@client.example", ["b@example.com"], b"Subject: x\r\n\r\nx\r\n")


def test_every_role_is_without_rights():
    with Sink() as sink, Gate(sink.address) as gate:
        busy(gate)
        sink.wait(1)
        pids = gate.pids()
        assert {name for name, _ in pids} == set(ROLES)
        for role, pid in pids.items():
            status = status_of(pid)
            assert status["Seccomp"] == "2", (role, status["Seccomp"])
            assert status["NoNewPrivs"] == "1", role
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(status[name], 16) == 0 or (name == "CapBnd" and os.geteuid() != 0), (role, name, status[name])
            if os.geteuid() == 0:
                assert "0" not in status["Uid"].split() + status["Gid"].split(), (role, status["Uid"])
                assert status["Groups"].split() == [], role
        status = status_of(gate.process.pid)
        assert status["NoNewPrivs"] == "1" and int(status["CapEff"], 16) & ~NET_BIND == 0, status["CapEff"]


def test_no_process_has_memory_that_is_written_and_run():
    with Gate() as gate:
        busy(gate)
        for role, pid in [*gate.pids().items(), ("master", gate.process.pid)]:
            bad = [m for m in mappings(pid) if "w" in m[1] and "x" in m[1]]
            assert not bad, (role, bad)


test_no_process_has_memory_that_is_written_and_run.only = "release"


def test_the_roles_that_face_the_network_hold_no_file_of_the_spool():
    with Gate() as gate:
        busy(gate)
        for (name, _), pid in gate.pids().items():
            files = [f for f in open_files(pid) if f.startswith(str(gate.spool))]
            assert (name == "spool") == bool(files), (name, files)
            assert not any("moongate-counters" in f for f in open_files(pid)), "the slab is mapped, and its descriptor gone"


def test_every_start_has_addresses_of_its_own():
    with Gate() as gate:
        starts = {role: mappings(pid)[0][0] for role, pid in gate.pids().items()}
        assert len(set(starts.values())) == len(starts), starts


test_every_start_has_addresses_of_its_own.only = "release"


def forbidden_call(pid):
    """strace makes the process ask for its user instead of waiting for events: harmless, and on nobody's list."""
    strace = shutil.which("strace")
    if not strace or os.geteuid() != 0:
        raise Skipped("strace, as root, makes the forbidden call")
    return subprocess.Popen([strace, "-qq", "-f", "-p", str(pid), "-e", "trace=epoll_wait,epoll_pwait", "-e",
                             "inject=epoll_wait,epoll_pwait:retval=0:syscall=getuid"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def poke(gate):
    """Something to do for every role, so that each goes round its loop."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        busy(gate)
    gate.cli("status", check=False)


def test_a_forbidden_call_ends_the_process_and_it_is_replaced():
    with Sink() as sink, Gate(sink.address) as gate:
        for role in ROLES:
            pid = gate.pids(role)[role, 0]
            tracer = forbidden_call(pid)
            try:
                until(lambda: poke(gate) or status_is_gone(pid), f"{role} ends", 40)                   # noqa: B023
            finally:
                tracer.terminate()
                said = tracer.communicate()[1].decode(errors="replace")
            assert "SIGSYS" in said, said
            until(lambda: is_back(gate, role, pid), f"{role} is replaced", 20)                          # noqa: B023
        busy(gate)
        until(lambda: gate.status()["queued"] == 0, "the mail of the replaced roles is delivered", 30)
        assert {r["name"] for r in gate.status()["roles"] if r["restarts"]} == set(ROLES)


test_a_forbidden_call_ends_the_process_and_it_is_replaced.only = "release"


def status_is_gone(pid):
    with contextlib.suppress(OSError):
        return status_of(pid)["State"].startswith("Z")
    return True


def is_back(gate, role, old):
    answer = gate.cli("status", check=False).stdout
    row = re.search(rf"^{role} 0\s+ready\s+(\d+)", answer, re.M)
    return row and int(row.group(1)) != old


def test_a_role_takes_no_orders_from_the_terminal():
    with Gate() as gate:
        pids = gate.pids()
        for pid in pids.values():
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                os.kill(pid, number)
        busy(gate)
        assert gate.pids() == pids
