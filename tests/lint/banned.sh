#!/usr/bin/env bash
# Calls that are not used: unbounded copies, programs started by a shell, time and locale traps, hidden state, look-ups that block.
set -euo pipefail
cd "$(dirname "$0")/../.."
banned='strcpy|strcat|sprintf|vsprintf|gets|strtok|strncpy|alloca|system|popen|execl|execlp|execle|execvp|tmpnam|mktemp|atoi|atol|atof|gethostbyname|getaddrinfo|gethostbyaddr|localtime|ctime|asctime|setlocale|rand|srand|random|usleep|sleep'
found=$(git ls-files 'core/*.c' 'core/*.h' | xargs grep -nE "(^|[^a-zA-Z0-9_.>\"\`])($banned) ?\(" -- | grep -vE '^[^:]+:[0-9]+:\s*(\*|/\*|//)' || true)
if [ -n "$found" ]; then
	echo "$found"
	exit 1
fi
# Lua is seen by the bridge, and by the loader that evaluates settings and tables of tests; libev by net; threads by the spool.
layering() {
	local what=$1 allowed=$2 found
	found=$(git ls-files 'core/*.c' 'core/*.h' | grep -vE "$allowed" | xargs grep -nE "$what" -- || true)
	if [ -n "$found" ]; then
		echo "$found"
		exit 1
	fi
}
layering '#include [<"](lua|lauxlib|lualib)\.h' '^core/(script/|daemon/(settings_|trial_test))'
layering '#include [<"]ev\.h' '^core/net/'
layering '#include <pthread\.h>|#include <threads\.h>' '^core/spool/'
layering '#include <openssl/' '^core/tls/'
layering '#include [<"]seccomp\.h' '^core/daemon/'
