# shellcheck shell=bash
# Sourced by the scripts in this folder, from the root of the project. Sets `python` to an interpreter that has colornet
# and, if an extra is named as argument, that extra. With COLORNET_PYTHON=/path/to/python, that interpreter is used and
# nothing is installed. With lowest=1, the environment is .venv-lowest and holds the lowest versions that setup.cfg allows.

if [ -n "${COLORNET_PYTHON:-}" ]; then
    python=$COLORNET_PYTHON
else
    venv=.venv${lowest:+-lowest}
    python=$venv/bin/python
    # The stamp's name depends on the requirements, so that changed requirements are installed again.
    stamp=$venv/.installed-$(cat setup.cfg pyproject.toml | cksum | cut -d ' ' -f 1)
    if [ ! -e "$stamp${1:+-$1}" ]; then
        python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
            echo "error: colornet needs Python 3.10 or newer as python3; install one, or set COLORNET_PYTHON." >&2
            exit 2
        }
        if [ ! -x "$python" ]; then
            python3 -m venv "$venv" || {
                echo "error: python3 cannot make a virtual environment; install its venv module (python3-venv)." >&2
                exit 2
            }
        fi
        echo "Installing into $venv (torch alone is several GB; once) ..."
        # A line such as "    torch>=2.11,<3" becomes "torch==2.11".
        [ -z "${lowest:-}" ] || sed -nE 's/^ +([a-z0-9-]+)>=([0-9.]+),<.*/\1==\2/p' setup.cfg > "$venv/lowest.txt"
        # Compiled on all cores, and without the packages' tests, which takes half the time of pip's own way. Some files are
        # templates, which cannot be compiled.
        "$python" -m pip install --quiet --quiet --disable-pip-version-check --no-compile \
            ${lowest:+--constraint "$venv/lowest.txt"} --editable ".${1:+[$1]}"
        "$python" -m compileall -j 0 -qq -x '[/\\]tests?[/\\]' "$venv/lib" || true
        touch "$stamp" "$stamp${1:+-$1}"
    fi
fi
