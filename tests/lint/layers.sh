#!/usr/bin/env bash
# The direction of the layers is the build's: an upward include does not compile, an upward call does not link, a cycle stops the
# configure step. Each is tried here, on a copy.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r CMakeLists.txt core lua policies tests "$work"
cd "$work"

refused() {
	local what=$1 pattern=$2
	shift 2
	if "$@" >log 2>&1; then
		echo "$what was accepted"
		exit 1
	fi
	grep -qE "$pattern" log || { echo "$what failed for another reason:"; tail -n 20 log; exit 1; }
}

cmake -S . -B build >/dev/null
echo '#include "session.h"' >core/smtp/smtp_upward.c
cmake -S . -B build >/dev/null
refused "an upward include" 'session\.h: No such file' cmake --build build --target smtp
printf 'int net_loop_run(void *);\nint smtp_upward(void);\nint smtp_upward(void)\n{\n\treturn net_loop_run(0);\n}\n' >core/smtp/smtp_upward.c
cat >tests/unit/test_smtp_upward.c <<'C'
int smtp_upward(void);
int main(void)
{
	return smtp_upward();
}
C
cmake -S . -B build >/dev/null
refused "an upward call" "undefined reference to .net_loop_run" cmake --build build --target test_smtp_upward
rm core/smtp/smtp_upward.c tests/unit/test_smtp_upward.c
sed -i 's/^layer(base) .*/layer(base daemon)/' CMakeLists.txt
refused "a cycle" 'core/base may not depend on core/daemon' cmake -S . -B build
