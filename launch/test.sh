#!/usr/bin/env bash
# Lint, types and tests, in the same environment as quickstart.sh with the test extra. Options go to pytest.
#
#   bash launch/test.sh               all but the system tests, in two processes
#   bash launch/test.sh -m system     the system tests alone: real launches, in tests/system
#   bash launch/test.sh -m ''         every test
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh test

"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m mypy
OMP_NUM_THREADS=1 "$python" -m pytest --numprocesses 2 --dist worksteal -m "not system" "$@"
