#!/usr/bin/env bash
# Files, functions, lines, nesting and parameters stay below the caps of the style; stems are unique; no marks of unfinished work.
set -euo pipefail
cd "$(dirname "$0")/../.."
git ls-files -z 'core/*.c' 'core/*.h' | python3 -c '
import collections, os, re, sys

FILE, HEADER, FUNCTION, WIDTH, NESTING, PARAMETERS = 600, 200, 60, 100, 4, 5
files = [f for f in sys.stdin.read().split("\0") if f and os.path.exists(f)]
problems = []
stems = collections.defaultdict(list)


def functions(lines):
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if not line.startswith(("} ", "};")) or line.rstrip() == "}":
                yield start, number
            start = None


for f in files:
    lines = open(f, errors="replace").read().split("\n")
    stems[os.path.basename(f)].append(f)
    cap = HEADER if f.endswith(".h") else FILE
    if len(lines) - 1 > cap:
        problems.append(f"{f}: {len(lines) - 1} lines, at most {cap}")
    fenced = False
    for number, line in enumerate(lines, 1):
        if "clang-format off" in line:
            fenced = True
        if "clang-format on" in line:
            fenced = False
        if not fenced and len(line.expandtabs(8)) > WIDTH:
            problems.append(f"{f}:{number}: wider than {WIDTH} columns")
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            problems.append(f"{f}:{number}: a mark of unfinished work")
        if re.search(r"\bdefault:", line) and f.endswith(".c"):
            problems.append(f"{f}:{number}: a default: hides what the compiler would find")
    if not f.endswith(".c"):
        continue
    for start, end in functions(lines):
        if end - start - 1 > FUNCTION:
            problems.append(f"{f}:{start}: a function of {end - start - 1} lines, at most {FUNCTION}")
        for number in range(start, end):
            line = lines[number]
            depth = len(line) - len(line.lstrip("\t"))
            if depth > NESTING and re.match(r"\t+(if|for|while|switch|do)\b", line):
                problems.append(f"{f}:{number + 1}: nested {depth} deep")
        head = " ".join(lines[max(0, start - 6):start - 1])
        match = re.search(r"\b[a-z_]+\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s*$", head)
        # ipc_channel_open: which end, whose callbacks and why it failed belong to one call; a struct for them hides more than it helps
        if match and match.group(1).count(",") >= PARAMETERS and "ipc_channel_open" not in head and "OpenSSL\x27s signature" not in head:
            problems.append(f"{f}:{start - 1}: more than {PARAMETERS} parameters")

for name, places in stems.items():
    if len(places) > 1:
        problems.append("one file name, two places: " + " ".join(places))
print("\n".join(problems))
sys.exit(bool(problems))
'
