#!/usr/bin/env bash
# Every shell script passes shellcheck.
set -euo pipefail
cd "$(dirname "$0")/../.."
git ls-files | xargs grep -lE '^#!/usr/bin/env bash|^#!/bin/sh' -- | xargs shellcheck
