"""What all commands have in common: they answer before torch is imported and keep what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import COMMANDS, main
from benchmarks.core.checks import check_new_folder, check_out, check_out_folder
from benchmarks.core.command import Command, _show
from benchmarks.core.sections import Note
from colornet.errors import InputError
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


def test_tables_are_written_before_they_are_printed(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    report = SimpleNamespace(
        summarize=lambda record: "All of it.",
        tables=lambda record: [Note("A table.")],
        draw=lambda record, path: path.write_bytes(b"plot") and path,
    )
    command = Command("", record="a.json", beside=("a.safetensors",))
    with pytest.raises(BrokenPipeError), os.fdopen(writing, "w") as closed, redirect_stdout(closed):
        _show({"kind": "a"}, report, tmp_path / "out", command)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.json", "a.md", "a.png"}


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("/proc/nowhere/a.json", "No such file or directory|Permission denied"),
        ("file/a.json", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
@pytest.mark.parametrize("check", [check_out, check_out_folder, partial(check_new_folder, "out")])
def test_what_cannot_be_written_is_refused_before_the_work(
    check: Callable[[Path], None], out: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=rf"--out .* cannot be written \(({reason})\): choose another"):
        check(Path(out))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_leftovers_of_an_interrupted_measurement_do_not_stop_the_next(tmp_path: Path) -> None:
    for name in ("quality.png", ".quality.safetensors.part-0123abcd.safetensors"):
        (tmp_path / name).touch()
    check_new_folder("out", tmp_path, ["quality.png", "quality.safetensors"])
    (tmp_path / "quality.json").touch()
    with pytest.raises(InputError, match="exists already"):
        check_new_folder("out", tmp_path, ["quality.png", "quality.safetensors"])
