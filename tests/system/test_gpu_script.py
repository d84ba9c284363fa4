"""The stages of benchmarks/gpu.sh, with a stand-in for Python."""

from __future__ import annotations

import os
import subprocess
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
        env=os.environ | {"COLORNET_PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "error: failed, with these exit codes: ceiling (1) distributed (1);" in result.stderr
    commands = (tmp_path / "python.log").read_text().splitlines()
    assert sum("torch.distributed.run" in line for line in commands) == 1
    assert commands[-1].startswith("-m benchmarks report")
