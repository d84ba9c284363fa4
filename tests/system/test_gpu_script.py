"""The stages of benchmarks/gpu.sh: all of its three calls at tiny sizes, and failures with a stand-in for Python."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]


def test_a_stage_that_fails_does_not_keep_others_from_running(tmp_path: Path) -> None:
    """A stand-in for Python fails in one stage; in the middle of it, its later commands are not run."""
    python = tmp_path / "python"
    log = 'echo "$@" >> "$0.log"'
    python.write_text(f'#!/usr/bin/env bash\n{log}\n[[ "$*" != *ceiling* && "$*" != *distributed.run* ]]\n')
    python.chmod(0o755)
    command = ["bash", "benchmarks/gpu.sh", "images", str(tmp_path / "work"), "ceiling", "distributed", "report"]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"COLORNET_PYTHON": str(python), "PRESETS": "ae"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "error: failed, with these exit codes: ceiling (1) distributed (1);" in result.stderr
    commands = (tmp_path / "python.log").read_text().splitlines()
    assert sum("torch.distributed.run" in line for line in commands) == 1
    assert commands[-1].startswith("-m benchmarks report")


def call(folder: Path, work: Path, *calls: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "COLORNET_PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "SMALL": "1", "PRESETS": "ae", "SEEDS": "0",
        "STEPS": "4", "EPOCHS": "1", "NOTEBOOK_EPOCHS": "1", "RACE_SEEDS": "1", "STAGE_SECONDS": "3000",
        "CALL_SECONDS": "3000",
    }  # fmt: skip
    return subprocess.run(
        ["bash", "benchmarks/gpu.sh", str(folder), str(work), *calls],
        cwd=ROOT,
        env=os.environ | environment | changes,
        capture_output=True,
        text=True,
        check=False,
    )


def results(table: Path) -> dict[str, str]:
    rows = [line.strip("| \n").split(" | ") for line in table.read_text(encoding="utf-8").splitlines()[2:]]
    return {stage: result for stage, result, _ in rows}


def test_the_three_calls_go_through(folder: Path, tmp_path: Path) -> None:
    """But for the speedrun: one epoch of 54 images is no target, and it says so."""
    work = tmp_path / "work"
    result = call(folder, work, "1", "2", "3")
    found = {stage: text for number in (1, 2, 3) for stage, text in results(work / f"call-{number}.md").items()}
    assert found.pop("speedrun") == "exit code 2", result.stderr
    assert "ends at an MSE of" in result.stderr
    assert {*found.values()} == {"done"}, (found, result.stderr[-4000:])
    assert [*found] == [
        "environment", "agreement-notebook-ae", "roofline-notebook-ae", "agreement-ae", "roofline-ae", "distributed",
        "resume", "to-quality", "report", "train", "quality",
    ]  # fmt: skip
    assert (work / "resume.txt").read_text() == "ae: equal to the last bit\n"
    along = [*(work / "out").iterdir()]
    assert {path.name for path in along} == {
        "call-1.md", "call-2.md", "call-3.md", "results.tar.gz", "curves.tar.gz", "report.html", "report.md",
    }  # fmt: skip
    assert all(path.stat().st_size < 16e6 for path in along)
    with tarfile.open(work / "out/results.tar.gz") as archive:
        names = {Path(name).as_posix() for name in archive.getnames()}
    assert {"roofline-ae.json", "agreement-ae.json", "to-quality.json", "quality/quality.json"} <= names


def test_a_call_ends_in_time_and_says_what_to_repeat(folder: Path, tmp_path: Path) -> None:
    """21 seconds less those for the table: no stage gets more than one."""
    result = call(folder, tmp_path / "work", "3", CALL_SECONDS="21")
    assert result.returncode == 1
    assert {*results(tmp_path / "work/call-3.md").values()} == {"out of time: repeat the call"}
