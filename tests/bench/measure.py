"""What is measured, and with what: CPU time of a family of processes, flushes of a disk, a generator, a sink that counts."""
import contextlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import time

LIMIT = 60                                              # seconds that any one wait may take


class Failed(Exception):
    """A run that did not do what it should: its text says which, and why."""


def until(condition, what, seconds=LIMIT, every=0.005):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what}")
        select.select([], [], [], every)
    return value


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as s:
        s.settimeout(10)
        greeted = s.recv(512).startswith(b"220")
        s.sendall(b"QUIT\r\n")
        s.recv(512)
        return greeted
    return False


def tool(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise Failed(f"no {name} on this machine: contrib/packages bench")
    return path


def go_first():
    """On a machine that others use as well, where two runs would be two different machines: ahead of all of them."""
    os.setpriority(os.PRIO_PROCESS, 0, -19)
    with contextlib.suppress(OSError):                  # the scheduler weighs whole sessions, and only then what is in them
        pathlib.Path("/proc/self/autogroup").write_text("-19")


# ---- CPU ---------------------------------------------------------------------------------------


class ControlGroup:
    """Exact, and complete even for processes that ended: the kernel adds up."""

    exact = True

    def __init__(self):
        for base, usage in (("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup", "cpu.stat"),
                            ("/sys/fs/cgroup/unified", "cpu.stat")):
            self.path = pathlib.Path(base) / f"moongate-bench-{os.getpid()}"
            with contextlib.suppress(OSError):
                self.path.mkdir()
                self.usage = self.path / usage
                if self.usage.is_file():
                    return
                self.path.rmdir()
        raise OSError("no control group to be had")

    def join(self):
        """In the child, before exec."""
        (self.path / "cgroup.procs").write_text("0")

    def seconds(self, _):
        text = self.usage.read_text()
        found = re.search(r"usage_usec (\d+)", text)
        return int(found[1]) / 1e6 if found else int(text) / 1e9

    def close(self):
        until(lambda: not (self.path / "cgroup.procs").read_text(), "every process of the peer is gone", 10)
        self.path.rmdir()


class ProcessTree:
    """Where there are no control groups: live members of the session, and the children that its members have buried."""

    exact = False
    tick = os.sysconf("SC_CLK_TCK")

    def join(self):
        pass

    def seconds(self, session):
        total = 0
        for fields in session_members(session).values():
            total += sum(map(int, fields[11:15]))       # utime stime cutime cstime
        return total / self.tick

    def close(self):
        pass


def session_members(session):
    """{pid: fields of /proc/PID/stat behind the name} of the processes in a session."""
    members = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                fields = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session:
                    members[int(entry)] = fields
    return members


def kill_session(session):
    for pid in session_members(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def cpu_meter():
    try:
        return ControlGroup()
    except OSError:
        return ProcessTree()


# ---- the disk ----------------------------------------------------------------------------------


class Disk:
    """The block device below a folder: its flushes are everybody's, so they are a cross-check on a quiet machine and no more."""

    def __init__(self, folder):
        device = os.stat(folder).st_dev
        self.number = (os.major(device), os.minor(device))

    def flushes(self):
        with contextlib.suppress(OSError):
            for line in pathlib.Path("/proc/diskstats").read_text().splitlines():
                fields = line.split()
                if (int(fields[0]), int(fields[1])) == self.number and len(fields) > 18:
                    return int(fields[18])
        return None


def file_system(folder):
    """(type, options) of the mount that holds a folder."""
    found = ("?", "")
    best = -1
    path = os.path.realpath(folder)
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, at, kind, options = line.split()[:4]
        at = at.replace("\\040", " ")
        if (path == at or path.startswith(at.rstrip("/") + "/")) and len(at) >= best:
            best, found = len(at), (kind, options)
    return found


# ---- processes ---------------------------------------------------------------------------------


class Process:
    """A program in a session of its own; stopped by its pid, and so is what it leaves behind in that session."""

    first = False                                       # for all of them: see go_first()

    def __init__(self, command, log, meter=None, environment=None):
        self.name = os.path.basename(str(command[0]))
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=environment, start_new_session=True, preexec_fn=lambda: self.begin(meter))

    def begin(self, meter):
        """In the child, before exec."""
        if meter:
            meter.join()
        if self.first:
            go_first()

    @property
    def pid(self):
        return self.child.pid

    def check(self):
        if self.child.poll() is not None:
            raise Failed(f"{self.name} ended with {self.child.returncode}: {self.tail()}")

    def tail(self):
        return self.log.read_bytes()[-2000:].decode(errors="replace")

    def stop(self, how=signal.SIGTERM, seconds=20):
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        kill_session(self.pid)


class Sink:
    """smtp-sink, whose counter goes to a file: a glance at its last bytes is cheaper than a pipe that must be emptied."""

    def __init__(self, folder):
        self.port = free_port()
        self.counter = folder / "sink"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = Process([tool("smtp-sink"), *user, "-c", "-m", "2000", f"127.0.0.1:{self.port}", "1000"], self.counter)
        until(lambda: self.process.check() or listens(self.port), "smtp-sink listens", 10)

    def messages(self):
        with open(self.counter, "rb") as f:
            f.seek(max(0, os.fstat(f.fileno()).st_size - 200))
            counts = re.findall(rb"mesg=(\d+)\r", f.read())
        return int(counts[-1]) if counts else 0

    def wait(self, count):
        """Until it has seen so many, and no longer than it goes on counting."""
        last, changed = -1, time.monotonic()
        while (now := self.messages()) < count:
            if now != last:
                last, changed = now, time.monotonic()
            elif time.monotonic() - changed > LIMIT:
                raise Failed(f"{now} of {count} messages came to the sink, and no more for {LIMIT} s")
            select.select([], [], [], 0.005)

    def stop(self):
        self.process.stop()


def send(port, case, count, keep):
    """smtp-source: so many messages, and the seconds it took to have all of them acknowledged."""
    command = [tool("smtp-source"), "-s", case.sessions, "-m", count, "-l", case.size, "-f", "a@client.example", "-t", "b@example.com",
               "-M", "client.example"]
    if keep:
        command.append("-d")
    begin = time.monotonic()
    try:
        done = subprocess.run([str(word) for word in [*command, f"127.0.0.1:{port}"]], capture_output=True, timeout=LIMIT,
                              stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"smtp-source did not end within {LIMIT} s ({case.name})") from late
    if done.returncode != 0:
        raise Failed(f"smtp-source: {done.stderr.decode(errors='replace').strip() or done.returncode} ({case.name})")
    return time.monotonic() - begin
