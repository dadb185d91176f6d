#!/usr/bin/env bash
# The top level holds what the owner's layout names, and nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."
odd=$(git ls-files | cut -d/ -f1 | sort -u | grep -vxE 'core|lua|policies|contrib|tests|CMakeLists\.txt|README\.md|\..*' || true)
if [ -n "$odd" ]; then
	echo "not in the owner's layout: $odd"
	exit 1
fi
