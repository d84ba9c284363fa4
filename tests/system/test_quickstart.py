"""The quickstart script as a stranger runs it, in a copy of the checkout; only the installation is left out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colornet import train

pytestmark = pytest.mark.system
LAUNCH = Path(__file__).parents[2] / "launch"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(LAUNCH, tmp_path / "launch")
    return tmp_path


def quickstart(checkout: Path, *options: str, python: Path = Path(sys.executable)) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLORNET_PYTHON": str(python), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = ["bash", str(checkout / "launch" / "quickstart.sh"), *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def test_quickstart_trains_compares_and_leaves_earlier_results_alone(checkout: Path) -> None:
    (checkout / "runs" / "quickstart").mkdir(parents=True)
    (checkout / "runs" / "quickstart" / "comparison.txt").write_text("mine")
    result = quickstart(checkout, "--max-steps", "2", "--width", "8")
    assert result.returncode == 0, result.stderr

    out = checkout / "runs" / "quickstart-2"
    assert (out / "comparison.txt").read_text().strip() in result.stdout
    assert list(json.loads((out / "comparison.json").read_text())["rows"]) == [
        "gray",
        "ae",
        "cgan",
        "ae-released",
        "cgan-released",
    ]
    assert "The rows of the released models show the finding" in result.stdout
    with Image.open(out / "comparison.png") as picture:
        assert picture.height == 6 * 32 * 3
    for preset in ("ae", "cgan"):
        assert json.loads((out / preset / "config.json").read_text())["width"] == 8
        assert (out / preset / "model.safetensors").exists()
    assert "tensorboard --logdir runs/quickstart-2" in result.stdout
    assert [path.name for path in (checkout / "runs" / "quickstart").iterdir()] == ["comparison.txt"]


# Notes what it is told to launch or to evaluate, and passes everything else on to python itself.
PYTHON = """
import json, os, sys
if sys.argv[2] not in ("accelerate.commands.launch", "colornet.evaluate"):
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
with open("told", "a") as file:
    file.write(json.dumps(sys.argv[2:]) + "\\n")
"""


def test_quickstart_trains_an_epoch_on_the_data_that_is_named(
    checkout: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = checkout / "python"
    python.write_text(f"#!{sys.executable}\n{PYTHON}")
    python.chmod(0o755)
    result = quickstart(checkout, f"--data={folder}", "--image-size", "16", "--batch-size", "8", python=python)
    assert result.returncode == 0, result.stderr
    *trainings, evaluation = map(json.loads, (checkout / "told").read_text().splitlines())
    for preset, told in zip(("ae", "cgan"), trainings, strict=True):
        arguments = told[told.index("colornet.train") + 1 :]
        train.main([*arguments, "--dry-run"])
        config = json.loads(capsys.readouterr().out)
        assert (config["data"], config["width"], config["epochs"]) == (str(folder), 16, 1)
        assert (arguments[0], config["run_dir"]) == (preset, f"runs/quickstart/{preset}")
    assert evaluation == ["colornet.evaluate", "runs/quickstart/ae", "runs/quickstart/cgan", "--out", "runs/quickstart"]
    assert "one epoch each: about eight minutes on two cores" in result.stdout


def test_own_photographs_train_a_model_that_colors_others(tmp_path: Path) -> None:
    out = tmp_path / "own"
    options = ["--max-steps", "2", "--width", "8", "--discriminator-width", "8", "--eval-every", "40", "--cpu"]
    command = [sys.executable, str(LAUNCH / "own_photos.py"), "--out", str(out), "--", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(LAUNCH.parent)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    config = json.loads((out / "cgan" / "config.json").read_text(encoding="utf-8"))
    assert (config["image_size"], config["multipliers"]) == (64, [1, 2, 4, 4])
    record = json.loads((out / "comparison" / "comparison.json").read_text(encoding="utf-8"))
    assert (record["data"]["name"], record["data"]["images"]) == ("photos", 40)
    for right in (out / "right").iterdir():
        with Image.open(right) as photo, Image.open(out / "colored" / right.name) as colored:
            assert colored.size == photo.size
    with Image.open(out / "own-data.jpg") as picture:
        assert picture.height == 3 * 256


def test_picture_of_the_documents_is_what_the_released_models_do(tmp_path: Path) -> None:
    command = [sys.executable, str(LAUNCH / "released_photos.py"), "--out", str(tmp_path / "drawn.jpg")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(LAUNCH.parent)}
    subprocess.run(command, env=environment, timeout=300, check=True)
    with (
        Image.open(tmp_path / "drawn.jpg") as drawn,
        Image.open(LAUNCH.parent / "docs/images/photographs.jpg") as shown,
    ):
        assert np.abs(np.asarray(drawn, float) - np.asarray(shown, float)).mean() < 1, f"outdated: run {command[1]}"


def test_quickstart_checks_options_before_it_launches(checkout: Path) -> None:
    result = quickstart(checkout, "--epochs", "0")
    assert result.returncode == 2
    assert result.stderr.strip() == "error: --epochs is 0: it must be at least 1."
    assert not (checkout / "runs").exists()
