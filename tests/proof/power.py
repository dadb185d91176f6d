#!/usr/bin/env python3
"""power.py [--long] [--fs ext4|xfs] [--states N] BUILD: cut the power under a real file system, anywhere, and look what is left.

A disk made of a file (recorder.c, FUSE) below a loop device, ext4 or XFS on it, the spool on that (proof_power). The recorder logs
every write, every flush, and every word of the spool's owner: what was submitted, what was acknowledged. Then for many points of the
log: a fresh image that has everything that was flushed before that point, and of what came after the last flush a random part, with
torn writes; mounted, recovered, compared with what had been said by then. Double: the recovered disk is recorded again while the owner
goes on, and is cut a second time.

What it cannot show: what a drive does that lies about flushes, or tears a sector; reordering across a flush; the kernel's own crash
(memory that is written out while it dies); anything of a file system that is not ext4 or XFS of this kernel with its default mount.
"""
import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SECTOR = 512
HEAD = struct.Struct("<c3xIQ")
FILE_SYSTEMS = {"ext4": (64 << 20, ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]),
                "xfs": (320 << 20, ["mkfs.xfs", "-q", "-f"])}
STEPS = 500                     # of the owner before the end of the log
GO_ON = 60                      # and after a crash, before the second


def run(*words, **options):
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True, timeout=120, **options).stdout.strip()


def why_not(build):
    """Why this cannot run here; None: it can."""
    if os.geteuid() != 0:
        return "not root"
    if not (build / "tests" / "recorder").exists():
        return "no recorder: libfuse3-dev was missing when it was built"
    for node in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(node):
            return f"no {node}"
    if not shutil.which("losetup"):
        return "no losetup"
    return None


@contextlib.contextmanager
def mounted(kind, disk, at):
    """The file system on that file, mounted at `at`."""
    loop = run("losetup", "-f", "--show", disk)
    try:
        run("mount", "-t", kind, loop, at)
        try:
            yield
        finally:
            run("umount", at)
    finally:
        run("losetup", "-d", loop)


@contextlib.contextmanager
def recorded(build, image, log, at):
    """The recorder's two files in `at`."""
    process = subprocess.Popen([build / "tests" / "recorder", image, log, at])
    try:
        deadline = time.monotonic() + 20
        while not (at / "disk").exists():
            assert process.poll() is None and time.monotonic() < deadline, "the recorder does not start"
            time.sleep(0.01)
        yield
    finally:
        subprocess.run(["umount", at], check=False)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)


def records(log):
    """[(kind, offset, bytes)] of a recorder's log."""
    data, at, found = log.read_bytes(), 0, []
    while at + HEAD.size <= len(data):
        kind, length, offset = HEAD.unpack_from(data, at)
        at += HEAD.size
        found.append((kind, offset, data[at:at + length]))
        at += length
    return found


class Cut:
    """The disk as the power may have left it: everything flushed before a point, and what chance kept of the rest."""

    def __init__(self, base, log, durable):
        self.log, self.at, self.pending = log, 0, []
        self.durable = durable
        copy(base, self.durable)
        self.file = open(self.durable, "r+b", buffering=0)

    def close(self):
        self.file.close()
        self.durable.unlink()

    def advance(self, point):
        """To just before that record; points only grow."""
        for kind, offset, data in self.log[self.at:point]:
            if kind == b"W":
                self.pending.append((offset, data))
            elif kind == b"F":
                for where, what in self.pending:
                    os.pwrite(self.file.fileno(), what, where)
                self.pending = []
        self.at = point

    def image(self, path, chance):
        """A fresh file: a reused one would show what the cache of its loop device has."""
        copy(self.durable, path)
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        fd = os.open(path, os.O_RDWR)
        for offset, data in self.pending:
            if chance.random() < 0.2:                   # torn: some of its sectors
                for at in range(0, len(data), SECTOR):
                    if chance.random() < share:
                        os.pwrite(fd, data[at:at + SECTOR], offset + at)
            elif chance.random() < share:
                os.pwrite(fd, data, offset)
        os.close(fd)


def copy(source, to):
    run("cp", "--sparse=always", source, to)


def said(log, point):
    return b"".join(data for kind, _, data in log[:point] if kind == b"T")


class Proof:
    def __init__(self, build, kind, chance):
        self.build, self.kind, self.chance = build, kind, chance
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="moongate-power."))
        self.disk, self.fs = self.work / "recorder", self.work / "fs"
        self.disk.mkdir()
        self.fs.mkdir()
        self.base = self.work / "base"
        size, mkfs = FILE_SYSTEMS[kind]
        with open(self.base, "wb") as f:
            f.truncate(size)
        run(*mkfs, self.base)
        self.program = build / "tests" / "proof_power"
        self.states = self.wrong = 0

    def close(self):
        shutil.rmtree(self.work)

    def record(self, image, log, *words):
        """What `words` does on that image; the records, and how many of them there were before and after it ran."""
        with recorded(self.build, image, log, self.disk):
            with mounted(self.kind, self.disk / "disk", self.fs):
                before = log.stat().st_size
                done = subprocess.run([str(w) for w in words], check=False, capture_output=True, text=True, timeout=300)
                after = log.stat().st_size
        found, size, marks = records(log), 0, []
        for kind, offset, data in found:
            marks.append(size)
            size += HEAD.size + len(data)
        first = next(i for i, mark in enumerate(marks) if mark >= before)
        last = next((i for i, mark in enumerate(marks) if mark >= after), len(marks))
        return done, found, first, last

    def live(self, *options):
        """A recorded life: its log, and the points between which to cut."""
        image = self.work / "image"
        copy(self.base, image)
        done, log, first, last = self.record(image, self.work / "log", self.program, "live", self.fs / "spool", self.disk / "told",
                                             STEPS, self.chance.randrange(1 << 30), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        image.unlink()
        return log, first, last

    def check(self, image, words):
        """Mount, verify, recover, compare: what is wrong, or None."""
        (self.work / "said").write_bytes(words)
        try:
            with mounted(self.kind, image, self.fs):
                if not (self.fs / "spool").exists():
                    return None if b"A " not in words else "the spool is gone"
                tool = self.build / "moongate"
                if tool.exists() and b"A " in words:
                    done = subprocess.run([tool, "spool", "verify", self.fs / "spool"], check=False, timeout=120, capture_output=True,
                                          text=True)
                    if done.returncode:
                        return "spool verify: " + done.stdout + done.stderr
                done = subprocess.run([self.program, "check", self.fs / "spool", self.work / "said"], check=False, timeout=120,
                                      capture_output=True, text=True)
                return None if done.returncode == 0 else done.stdout + done.stderr
        except subprocess.CalledProcessError as e:
            return f"not mounted: {e.stderr}"

    def single(self, count, *options):
        log, first, last = self.live(*options)
        cut = Cut(self.base, log, self.work / "durable")
        for point in sorted(self.chance.randrange(first, last + 1) for _ in range(count)):
            cut.advance(point)
            image = self.work / f"state{self.states}"
            cut.image(image, self.chance)
            self.judge("single", point, self.check(image, said(log, point)))
            image.unlink()
        cut.close()

    def double(self, count):
        log, first, last = self.live()
        cut = Cut(self.base, log, self.work / "durable")
        for point in sorted(self.chance.randrange(first, last + 1) for _ in range(count)):
            cut.advance(point)
            self.again(cut, said(log, point), point)
        cut.close()

    def again(self, cut, words, point):
        """From that crash on: recover and go on, recorded, and crash again."""
        once, image, state = self.work / "once", self.work / "twice", self.work / f"state{self.states}"
        cut.image(once, self.chance)
        copy(once, image)
        (self.work / "said").write_bytes(words)
        done, log, first, last = self.record(image, self.work / "log2", self.program, "check", self.fs / "spool", self.work / "said",
                                             self.disk / "told", GO_ON, self.chance.randrange(1 << 30))
        if done.returncode:
            self.judge("double, after the first", point, done.stdout + done.stderr)
        else:
            second = Cut(once, log, self.work / "durable2")
            where = self.chance.randrange(first, last + 1)
            second.advance(where)
            second.image(state, self.chance)
            self.judge("double", point, self.check(state, words + said(log, where)))
            second.close()
            state.unlink()
        once.unlink()
        image.unlink()

    def judge(self, what, point, trouble):
        self.states += 1
        if trouble:
            self.wrong += 1
            print(f"  {self.kind}, {what}, cut before record {point}: {trouble.strip()}")


def prove(build, kind, states, seed):
    """False: something was lost, or a spool that does not sync got away with it."""
    proof = Proof(build, kind, random.Random(seed))
    try:
        proof.single(states)
        single = proof.states
        proof.double(states)
        print(f"proof: {kind}: {single} states after one crash, {proof.states - single} after two: {proof.wrong} wrong (seed {seed})")
        good = proof.wrong == 0
        proof.states = proof.wrong = 0
        with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
            proof.single(max(10, states // 10), "--no-sync")
        print(f"proof: {kind}: a spool that never syncs is caught in {proof.wrong} of {proof.states} states")
        return good and proof.wrong > 0
    finally:
        proof.close()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--long", action="store_true")
    options.add_argument("--fs", choices=FILE_SYSTEMS)
    options.add_argument("--states", type=int)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options.add_argument("build", type=pathlib.Path)
    options = options.parse_args()
    build = options.build.resolve()
    reason = why_not(build)
    if reason:
        print(f"skipped: power cut: {reason}")
        return 0
    good = True
    for kind in [options.fs] if options.fs else FILE_SYSTEMS:
        if not shutil.which(f"mkfs.{kind}"):
            print(f"skipped: power cut on {kind}: no mkfs.{kind}")
            continue
        good &= prove(build, kind, options.states or (300 if options.long else 10), options.seed)
    return 0 if good else 1


sys.exit(main())
