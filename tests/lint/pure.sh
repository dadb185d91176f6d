#!/usr/bin/env bash
# A pure layer imports itself, the layers it names, mem* and str*, what the compiler adds, and nothing else: no socket, no clock, no file.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
[ -f "$build/libsmtp.a" ] || { cmake -S . -B "$build" >/dev/null && cmake --build "$build" -j2 --target mail smtp policy >/dev/null; }

# pure LAYER LOWER...: undefined symbols of the archive that none of these defines.
pure() {
	local layer=$1 lower archives=() allowed
	for lower in "$@"; do archives+=("$build/lib$lower.a"); done
	allowed=' (mem[a-z]+|str[a-z]*|__[a-z_]+_chk|__assert_fail|__stack_chk_fail|abort|snprintf|vsnprintf|qsort|bsearch|malloc|calloc|realloc|free|__ctype_[a-z_]+|__asan_.*|__ubsan_.*|__sanitizer_.*|_GLOBAL_OFFSET_TABLE_|isoc99.*|log10|ldexp|floor)$'
	if [ "$layer" = smtp ]; then allowed=${allowed//malloc|calloc|realloc|free|/}; fi
	comm -23 <(nm -u "$build/lib$layer.a" 2>/dev/null | awk '/ U /{print " " $2}' | grep -vE "$allowed" | sort -u) \
		<(nm --defined-only "${archives[@]}" 2>/dev/null | awk 'NF==3 && $2 ~ /[TDBRC]/{print " " $3}' | sort -u)
}

bad=0
for line in "mail base" "smtp base mail" "policy base mail"; do
	read -ra names <<<"$line"
	found=$(pure "${names[@]}")
	if [ -n "$found" ]; then
		echo "core/${names[0]} imports:$found"
		bad=1
	fi
done
# Base has the clock and the generator; a pure layer must not reach them through it either.
for layer in mail smtp policy; do
	if nm -u "$build/lib$layer.a" 2>/dev/null | grep -E ' (clock_mono|clock_wall|rnd_[a-z0-9]+|log_[a-z]+)$'; then
		echo "core/$layer asks for time, chance or the log"
		bad=1
	fi
done
exit $bad
