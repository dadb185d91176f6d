#!/usr/bin/env python3
"""torture.py BUILD: run proof_torture, then compare the calls that it made to fail with those in the source of core/spool.

A call that is never made to fail is a failure of the proof: whoever adds one adds a way to reach it to the scenarios.
`/* unreachable: why */` on the line of the call, or above it, says that there is none.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DISK = ("open", "size", "read", "read_now", "write", "sync", "reserve", "truncate", "push", "forget", "lock", "mkdir", "sync_dir",
        "list", "space")          # close is not here: nothing depends on its answer
CALLS = {"disk": re.compile(r"->(%s)\(" % "|".join(DISK)), "heap": re.compile(r"\b(malloc|calloc|realloc|mmap)\(")}
ELSEWHERE = {"spool_file.c": "heap"}  # the real disk itself: its memory is taken once, before there is a spool

# No scenario reaches the one of sealing, nor the paper beside the log. They are counted, and shown; nothing else may join them.
UNTRIED = ("malloc(SPOOL_UNIT_STORED)",)
UNTRIED_FILES = ("spool_paper.c",)


def is_untried(key, text):
    return key[1] in UNTRIED_FILES or any(part in text for part in UNTRIED)


def calls_in_source():
    """{(kind, file, line): text}; a comment is no call."""
    found = {}
    for path in sorted((ROOT / "core" / "spool").glob("*.c")):
        above = ""
        for number, line in enumerate(path.read_text().split("\n"), 1):
            code = re.sub(r"/\*.*?\*/", "", line)
            for kind, pattern in CALLS.items():
                if pattern.search(code) and "unreachable:" not in line + above and ELSEWHERE.get(path.name) != kind:
                    found[kind, path.name, number] = line.strip()
            above = line
    return found


def calls_made(program, listing):
    """{(kind, file, line): it failed}: the line that each return address comes back to."""
    rows = [line.split() for line in listing.read_text().split("\n") if line]
    addresses = [hex(int(offset, 16) - 1) for _, offset, _ in rows]
    lines = subprocess.run(["addr2line", "-e", program, *addresses], capture_output=True, text=True, check=True).stdout.split("\n")
    made = {}
    for (kind, _, failed), where in zip(rows, lines):
        path, _, number = where.split(" ")[0].rpartition(":")
        key = kind, pathlib.Path(path).name, int(number) if number.isdigit() else 0
        made[key] = made.get(key, False) or failed == "failed"
    return made


def main():
    program = pathlib.Path(sys.argv[1]).resolve() / "tests" / "proof_torture"
    with tempfile.TemporaryDirectory() as folder:
        listing = pathlib.Path(folder) / "sites"
        status = subprocess.run([program, "--sites", listing], check=False).returncode
        if status:
            return status
        made = calls_made(program, listing)
    source = calls_in_source()
    never = {key: text for key, text in source.items() if not made.get(key)}
    missing = {key: text for key, text in never.items() if not is_untried(key, text)}
    for (kind, name, number), text in sorted(missing.items()):
        print(f"not ok torture: {name}:{number} never failed ({kind}): {text}")
    for kind in CALLS:
        total = [key for key in source if key[0] == kind]
        print(f"proof: {sum(1 for key in total if key not in never)} of {len(total)} {kind} calls of core/spool were made to fail")
    print(f"proof: {len(never) - len(missing)} calls are not tried yet")
    return 1 if missing else 0


sys.exit(main())
