"""What all commands have in common: they answer before torch is imported and keep what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from benchmarks.__main__ import COMMANDS, main
from tests.benchmarks.commands import refused


def test_options_are_answered_without_torch() -> None:
    code = (
        "import sys\n"
        "from benchmarks.__main__ import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try:\n"
        "        main([name, '--help'])\n"
        "    except SystemExit:\n"
        "        assert 'torch' not in sys.modules, name\n"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert "--notebook-epochs" in result.stdout


@pytest.mark.parametrize("command", ["throughput", "speedrun", "growth", "scaling"])
def test_existing_file_is_not_overwritten(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("mine")
    said = refused(capsys, command, "--data", "sample", "--out", str(tmp_path / "a.json"))
    assert "exists already: choose another name" in said
    assert (tmp_path / "a.json").read_text() == "mine"


ARGUMENTS = {
    "report": ["."],
    "release": [".", "--name", "ae"],
    "tables": ["--check"],
}


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"quality"}))
def test_one_process_only(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    out = [] if command == "tables" else ["--out", str(tmp_path / "out")]
    said = refused(capsys, command, *ARGUMENTS.get(command, []), *out)
    assert f"2 processes were launched: {command} takes one" in said
    assert not any(tmp_path.iterdir())


def test_record_is_kept_where_the_terminal_is_closed(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    options = ["--data", "sample", "--images", "2", "--batch-sizes", "2", "--passes", "1", "--cpu"]
    with pytest.raises(SystemExit, match="141"), os.fdopen(writing, "w") as closed, redirect_stdout(closed):
        main(["inference", *options, "--out", str(tmp_path / "a.json")])
    assert json.loads((tmp_path / "a.json").read_text())["kind"] == "inference"
