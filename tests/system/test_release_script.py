"""The script that trains, scores, reports and packages the released models, from end to end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]


def script(work: Path) -> subprocess.CompletedProcess[str]:
    """Run the script on the tests' images under another name: 54 for training, 2 steps an epoch."""
    environment = {"COLORNET_PYTHON": sys.executable, "COLORNET_DATA": str(work / "cache"), "PYTHONPATH": str(ROOT),
                   "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "WIDTH": "8", "BATCH": "27",
                   "EPOCHS": "1", "JOBS": "2"}  # fmt: skip
    command = ["bash", str(ROOT / "launch/release_weights.sh"), str(work / "cifar10-jpeg"), str(work / "runs")]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, timeout=600, check=False
    )


def test_the_script_makes_what_is_missing_and_leaves_the_rest(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "cifar10-jpeg")
    result = script(tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("differ from the run's by at most") == 2
    assert (tmp_path / "runs/page/report.html").is_file()
    models = tmp_path / "runs/weights"
    before = {path: path.read_bytes() for path in models.rglob("*.safetensors")}
    marked = models / "cgan/README.md"
    assert "python -m colornet.train cgan --seed 0 --data cifar10-jpeg --width 8" in marked.read_text()
    marked.write_text("mine")
    shutil.rmtree(models / "ae")
    result = script(tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"{models / 'cgan'} exists already: remove it to create it again." in result.stdout
    assert {path: path.read_bytes() for path in models.rglob("*.safetensors")} == before
    assert marked.read_text() == "mine"
    # Starts that found nothing to do are no part of the origin.
    assert len(json.loads((tmp_path / "runs/ae-0/provenance.json").read_text())) == 2
    assert len(json.loads((models / "ae/provenance.json").read_text())) == 1
