#!/usr/bin/env bash
# Every file that core/README.md names exists, every layer and every hook is in it, and what it calls a symbol is one.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
while read -r file; do
	case "$file" in
	*/*) [ -e "$file" ] || [ -e "core/$file" ] || { echo "core/README.md names $file, which is not there"; bad=1; } ;;
	esac
done < <(grep -oE '`[a-z_./-]+\.(c|h|lua|sh|smtp|md|py)`' core/README.md | tr -d '`' | sort -u)
for layer in core/*/; do
	grep -q "core/$(basename "$layer")\`" core/README.md || { echo "core/README.md does not show $layer"; bad=1; }
done
while read -r symbol; do
	grep -rqE "\b${symbol%()}\(" core/*/*.[ch] || { echo "core/README.md names $symbol, which nobody defines"; bad=1; }
done < <(grep -oE '`[a-z_0-9]+\(\)`' core/README.md | tr -d '`' | sort -u)
exit $bad
