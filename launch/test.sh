#!/usr/bin/env bash
# Lint, types and tests, in the same environment as quickstart.sh with the test extra. Options go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh test

"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m mypy
"$python" -m pytest "$@"
