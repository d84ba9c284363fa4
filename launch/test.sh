#!/usr/bin/env bash
# Lint, types and tests, in the same environment as quickstart.sh with the test extra. Options go to pytest.
#
#   bash launch/test.sh               all but the system tests, in two processes
#   bash launch/test.sh -m system     the system tests alone: real launches, in tests/system
#   bash launch/test.sh -m ''         every test
#   bash launch/test.sh --lowest      the tests alone, with the lowest versions that setup.cfg allows, in .venv-lowest;
#                                     needs a Python for which these were released, 3.10 to 3.12
set -euo pipefail
cd "$(dirname "$0")/.."
lowest=
if [ "${1:-}" = --lowest ]; then
    lowest=1
    shift
fi
source launch/environment.sh test

unset PYTHONDONTWRITEBYTECODE # or each process that a test starts compiles our modules again
types=
if [ -z "$lowest" ]; then
    "$python" -m ruff check .
    "$python" -m ruff format --check .
    "$python" -m mypy & # beside the tests, some of which wait
    types=$!
fi
code=0
OMP_NUM_THREADS=1 "$python" -m pytest --numprocesses 2 --dist worksteal -m "not system" "$@" || code=$?
[ -z "$types" ] || wait "$types" || code=$?
exit "$code"
