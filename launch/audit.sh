#!/usr/bin/env bash
# Look for known vulnerabilities of the packages that are installed, with pip-audit, which asks a public database.
#
#   bash launch/audit.sh
#
# Exit code 1 if there are some, 2 if the question could not be asked. Packages that the database does not know, such as
# builds of torch for one kind of hardware, are listed.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh test

if ! "$python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("pip_audit") is None)'; then
    echo "error: pip-audit is not installed; run \`$python -m pip install pip-audit\` first." >&2
    exit 2
fi
found=$(mktemp)
trap 'rm -f "$found"' EXIT
# It exits with 1 for vulnerabilities and for a database that cannot be reached; only for the former it writes a result.
"$python" -m pip_audit --skip-editable --progress-spinner off --format json --output "$found" >/dev/null 2>&1 || true
"$python" - "$found" <<'END'
import json, sys

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
packages = json.loads(text)["dependencies"] if text else []
asked = [package for package in packages if "skip_reason" not in package]
if not asked:
    print("error: the database of vulnerabilities cannot be reached; check the network.", file=sys.stderr)
    sys.exit(2)
unknown = [package["name"] for package in packages if "skip_reason" in package]
if unknown:
    print(f"Not known to the database: {', '.join(unknown)}.")
bad = [(package, flaw) for package in asked for flaw in package["vulns"]]
for package, flaw in bad:
    fixed = ", ".join(flaw["fix_versions"]) or "no version yet"
    print(f"{package['name']} {package['version']}: {flaw['id']}, fixed in {fixed}.")
print(f"{len(asked)} packages asked about, {len(bad)} known vulnerabilities.")
sys.exit(1 if bad else 0)
END
