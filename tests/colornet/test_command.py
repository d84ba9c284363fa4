"""How a command ends where nobody reads what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.runs import save_run


def unread(*arguments: str) -> tuple[int, str]:
    """Run a command of colornet whose stdout is a pipe that is closed at once; return exit code and stderr."""
    command = [sys.executable, "-m", "colornet", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        return process.wait(), errors


def test_a_dry_run_ends_quietly() -> None:
    assert unread("train", "ae", "--data", "sample", "--dry-run") == (141, "")


def test_results_are_written_before_they_are_printed(folder: Path, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    arguments = ["evaluate", str(run), "--data", str(folder), "--out", str(tmp_path / "out"), "--cpu"]
    code, errors = unread(*arguments)
    assert code == 141
    assert [line[:7] for line in errors.splitlines()] == ["Folder "]  # what became of the subfolders of the data
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["rows"].keys() == {"gray", "run"}
