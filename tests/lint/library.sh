#!/usr/bin/env bash
# The program carries libev inside: the shared one would bring event_* symbols that corrupt libunbound. And it is hardened.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=${1:-build/moongate}
[ -x "$program" ] || { cmake -S . -B build >/dev/null && cmake --build build -j2 --target moongate >/dev/null; }
dynamic=$(readelf -d "$program")
if grep -q 'libev\.so' <<<"$dynamic"; then echo "linked to libev.so"; exit 1; fi
if nm -D --defined-only "$program" | grep -q ' event_'; then echo "exports event_* symbols"; exit 1; fi
grep -q 'BIND_NOW\|Flags:.*NOW' <<<"$dynamic" || { echo "not linked with -z now"; exit 1; }
readelf -h "$program" | grep -q 'DYN' || { echo "not position independent"; exit 1; }
headers=$(readelf -lW "$program")
grep -q GNU_RELRO <<<"$headers" || { echo "no RELRO"; exit 1; }
if grep 'GNU_STACK' <<<"$headers" | grep -q 'RWE'; then echo "executable stack"; exit 1; fi
if nm -D -u "$program" | grep -E ' (system|popen|execvp?|execlp?|posix_spawn)(@|$)'; then echo "imports a way to run programs"; exit 1; fi
