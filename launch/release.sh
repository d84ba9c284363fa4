#!/usr/bin/env bash
# Build wheel and sdist into dist/, install the wheel into an empty environment, and colorize a photograph with it.
#
#   bash launch/release.sh
#
# Before it, run `bash launch/test.sh -m ''`, `bash launch/test.sh --lowest` and `bash launch/audit.sh`. Nothing is
# uploaded. Needs a few minutes and 6 GB in the temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -e dist ]; then
    echo "error: dist/ exists already: remove it, so that nothing old is released." >&2
    exit 2
fi
if [ -n "$(git status --porcelain)" ]; then
    echo "error: There are changes that are not committed: commit them, so that the release is that of a commit." >&2
    exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/build"
"$work/build/bin/python" -m pip install --quiet --quiet --disable-pip-version-check "build>=1.2,<2"
"$work/build/bin/python" -m build --outdir "$work/dist" .

python3 -m venv "$work/empty"
echo "Installing the wheel into an empty environment ..."
"$work/empty/bin/python" -m pip install --quiet --quiet --disable-pip-version-check "$work"/dist/*.whl
cd "$work"
"$work/empty/bin/python" -c 'from skimage import data, io; io.imsave("photograph.png", data.astronaut())'
"$work/empty/bin/colornet" --version
"$work/empty/bin/colornet" colorize photograph.png --out colored
cd - > /dev/null
mv "$work/dist" dist
echo "The release is in dist/:"
ls dist
