"""The two that are compared, each set up as a good operator would set up an edge relay: known recipients (Postfix) or domains (the plain
relay) in a table, all mail to one next hop, look-ups of names off, log to a file, default syncs. `hold` suspends delivery: mail is
accepted, durable, and stays."""
import collections
import contextlib
import os
import pathlib
import re
import signal
import subprocess

from measure import Failed, Process, cpu_meter, free_port, kill_session, listens, tool, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELAY = ROOT / "contrib" / "relay" / "moongate.lua"
MOONGATE = pathlib.Path(os.environ.get("MOONGATE", ROOT / "build" / "moongate"))

HOLD_LUA = """local gate = require "moongate"
gate.on("message", { name = "bench-hold" }, function() return gate.hold { reason = "bench" } end)
"""


class Peer:
    def __init__(self, folder, sink_port, hold):
        self.folder = folder
        self.folder.mkdir()
        self.sink_port = sink_port
        self.hold = hold
        self.port = free_port()
        self.meter = cpu_meter()
        self.process = None

    def session(self):
        """The session whose members are the peer's processes."""
        return self.process.pid

    def cpu(self):
        return self.meter.seconds(self.session())

    def stop(self):
        if self.process:
            self.process.stop()
        self.meter.close()

    def ready(self, seconds=20):
        until(lambda: self.process.check() or listens(self.port), f"{self.name} greets: {self.process.tail()}", seconds, 0.05)


class Moongate(Peer):
    name = "moongate"

    def start(self, _):
        os.chmod(self.folder, 0o777)                    # its roles run without root's rights
        self.environment = dict(
            os.environ, MOONGATE_LISTEN=f"127.0.0.1:{self.port}", MOONGATE_DOMAINS="example.com",
            MOONGATE_NEXT_HOP=f"127.0.0.1:{self.sink_port}", MOONGATE_SPOOL=str(self.folder / "spool"),
            MOONGATE_CONTROL=str(self.folder / "control.sock"))
        if self.hold:
            (self.folder / "policy").mkdir()
            policy = self.folder / "policy" / "hold.lua"
            policy.write_text(HOLD_LUA)
            self.environment["MOONGATE_POLICY"] = str(policy)
        self.prepare()
        self.process = Process([MOONGATE, "-c", RELAY, "serve", "--single"], self.folder / "log", self.meter, self.environment)
        until(lambda: self.process.check() or "moongate: ready" in self.process.tail(), f"ready: {self.process.tail()}", 30, 0.02)
        self.ready()

    def prepare(self):
        """What stands ready before it starts."""

    def metrics(self):
        done = subprocess.run([MOONGATE, "-c", RELAY, "metrics"], env=self.environment, capture_output=True, timeout=20, check=False,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failed(f"moongate metrics: {done.stderr.decode(errors='replace')}")
        total = collections.Counter()                   # over all processes
        for name, value in re.findall(r"^moongate_(\w+)(?:{[^}]*})? ([0-9.e+]+)$", done.stdout.decode(), re.M):
            total[name] += float(value)
        return total

    def syncs(self):
        return self.metrics()["spool_syncs_total"]

    def is_empty(self):
        return self.metrics()["queue_messages"] == 0

    @staticmethod
    def version():
        return subprocess.run([MOONGATE, "version"], capture_output=True, text=True, check=True).stdout.strip()


MAIN_CF = """compatibility_level = 3.6
queue_directory = {at}/queue
data_directory = {at}/data
maillog_file = {at}/maillog
maillog_file_prefixes = {at}
myhostname = bench.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.2/32
biff = no

relay_domains = example.com
relay_recipient_maps = hash:{at}/etc/recipients
relayhost = [127.0.0.1]:{sink}
smtpd_relay_restrictions =
smtpd_recipient_restrictions = reject_unauth_destination

smtp_host_lookup = native
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_client_event_limit_exceptions = static:all
in_flow_delay = 0
default_destination_concurrency_limit = 100
"""
HOLD_CF = "smtpd_end_of_data_restrictions = check_client_access static:HOLD\n"

MASTER_CF = """127.0.0.1:{port} inet n - n - {sessions} smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Sealed(Moongate):
    """The same with a sealed spool."""
    name = "sealed"

    def prepare(self):
        self.environment["MOONGATE_SPOOL_KEY"] = str(self.folder / "spool.key")
        subprocess.run([MOONGATE, "-c", RELAY, "spool", "key", "new"], env=self.environment, check=True, capture_output=True,
                       stdin=subprocess.DEVNULL)


class Postfix(Peer):
    """A private instance: configuration, queue and data below `folder`; the machine's own Postfix is never touched."""

    name = "postfix"

    def start(self, sessions):
        at = self.folder
        etc = at / "etc"
        etc.mkdir()
        (at / "queue").mkdir()                          # what is below it, and data, Postfix makes with the right owners
        etc.joinpath("main.cf").write_text(MAIN_CF.format(at=at, sink=self.sink_port) + (HOLD_CF if self.hold else ""))
        etc.joinpath("master.cf").write_text(MASTER_CF.format(port=self.port, sessions=sessions + 50))
        etc.joinpath("recipients").write_text("".join(f"user{i}@example.com ok\n" for i in range(1000)) + "b@example.com ok\n")
        subprocess.run([tool("postmap"), "-c", etc, f"hash:{etc}/recipients"], check=True, timeout=20)
        self.process = Process([tool("postfix"), "-c", etc, "start-fg"], at / "log", self.meter)
        self.ready()

    def session(self):
        return int((self.folder / "queue" / "pid" / "master.pid").read_text())

    def stop(self):
        """The master has left our session for its own: end it first, and only if it is really the one that runs in our folder."""
        with contextlib.suppress(OSError, ValueError):
            master = self.session()
            if os.readlink(f"/proc/{master}/cwd") == str(self.folder / "queue"):
                os.kill(master, signal.SIGTERM)
                until(lambda: self.process.child.poll() is not None, "the master of Postfix ends", 20)
                kill_session(master)
        super().stop()

    def syncs(self):
        return None

    def is_empty(self):
        return not any(files for queue in ("incoming", "active") for _, _, files in os.walk(self.folder / "queue" / queue))

    @staticmethod
    def version():
        out = subprocess.run([tool("postconf"), "-d", "mail_version"], capture_output=True, text=True, check=True).stdout
        return "Postfix " + out.split()[-1]
