"""Two processes over gloo, started as a user starts them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from colornet.classifier import CIFAR10_CLASSES
from colornet.compose import compose_trainer
from colornet.config import load_config
from colornet.evaluation import colorize_with

LAUNCH = Path(__file__).parent.parent / "launch" / "accelerate"

# Each rank trains as `python -m colornet.train` does, then leaves its own copy of every weight.
RANK_SCRIPT = """
import os, sys
from safetensors.torch import save_file
from colornet import train
from colornet.trainer import Trainer

def fit_and_save(self):
    fit(self)
    networks = {name: self.accelerator.unwrap_model(n) for name, n in self.objective.networks.items()}
    networks["ema"] = self.ema
    weights = {f"{name}/{k}": value.contiguous() for name, n in networks.items() for k, value in n.state_dict().items()}
    save_file(weights, f"{sys.argv[1]}/rank{os.environ['RANK']}.safetensors")

fit, Trainer.fit = Trainer.fit, fit_and_save
train.main(sys.argv[2:])
"""


def options(folder: Path, run_dir: Path) -> list[str]:
    small = "--image-size 16 --width 8 --multipliers 1 2 --blocks 1 --discriminator-width 8 --batch-size 8 --epochs 2"
    place = ["--data", str(folder), "--run-dir", str(run_dir), "--mixed-precision", "no", "--cpu"]
    return [*small.split(), *place]


def launch(arguments: list[str], processes: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(LAUNCH / "multi_cpu.yaml")]
    command += ["--num_processes", str(processes), "--main_process_port", "0", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=150, check=False)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images with the classes of CIFAR-10, 31 of them for validation: one process has 16, the other 15."""
    root, rng = tmp_path_factory.mktemp("classes"), np.random.default_rng(0)
    for part, count in (("train", 50), ("val", 31), ("test", 10)):
        for index in range(count):
            light = np.kron(rng.uniform(0.2, 0.9, (4, 4)), np.ones((4, 4)))[..., None]
            pixels = light * rng.uniform(0.3, 1, 3) + rng.normal(0, 0.02, (16, 16, 3))
            path = root / part / CIFAR10_CLASSES[index % 10] / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8)).save(path)
    return root


def assert_one_process_measures_the_same(run_dir: Path, weights: dict[str, Tensor]) -> None:
    """Score the model that two processes left, in this process, and compare with what they logged of it."""
    config = load_config(run_dir)
    trainer = compose_trainer(dataclasses.replace(config, run_dir=str(run_dir), num_processes=None))
    trainer.ema.load_state_dict({k.removeprefix("ema/"): v for k, v in weights.items() if k.startswith("ema/")})
    assert trainer.dataset.labels is not None
    assert len(trainer.dataset.validation) == 31
    colorize = colorize_with(trainer.ema, trainer.space, trainer.accelerator)
    expected = trainer.score(colorize, trainer.dataset.validation)
    logged = json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"fd_cifar10_dev", "accuracy_cifar10_dev", "cf", "psnr"} <= expected.keys()
    assert expected["fd_cifar10_dev"] > 0.01
    for name, value in expected.items():
        assert logged[f"validation/{name}"] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("preset", ["ae", "cgan"])
def test_two_processes_end_with_identical_weights(preset: str, classes: Path, tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANK_SCRIPT)
    arguments = [preset, *options(classes, tmp_path / "run"), "--num-processes", "2"]
    result = launch([str(script), str(tmp_path), *arguments])
    assert result.returncode == 0, result.stderr
    assert "2 process(es) on cpu" in result.stdout
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in (0, 1))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert_one_process_measures_the_same(tmp_path / "run", first)

    # The two shared one run: a second pair of eyes is one process that sees the same batches.
    alone = subprocess.run(
        [sys.executable, "-m", "colornet.train", preset, *options(classes, tmp_path / "alone")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    together, single = (
        json.loads((tmp_path / run / "metrics.jsonl").read_text().splitlines()[-1]) for run in ("run", "alone")
    )
    assert together["validation/psnr"] == pytest.approx(single["validation/psnr"], abs=0.05)
    assert together["validation/cf_truth"] == pytest.approx(single["validation/cf_truth"], rel=1e-12)


def test_seed_cgan_trains_in_two_processes(folder: Path, tmp_path: Path) -> None:
    """Two discriminator forwards before one update, with BatchNorm: what DDP is touchy about."""
    arguments = ["seed-cgan", *options(folder, tmp_path / "run"), "--accumulation-steps", "2"]
    result = launch(["-m", "colornet.train", *arguments])
    assert result.returncode == 0, result.stderr
    assert "BatchNorm sees the images of one process only" in result.stdout


def test_processes_never_train_alone_side_by_side(folder: Path, tmp_path: Path) -> None:
    """Without --cpu, on a machine without GPUs: some versions of Accelerate leave the processes unconnected."""
    arguments = [argument for argument in options(folder, tmp_path / "run") if argument != "--cpu"]
    result = launch(["-m", "colornet.train", "ae", *arguments])
    refused = "2 processes were launched and each of them would train alone: on CPUs, add --cpu" in result.stderr
    assert refused == (result.returncode != 0)
    assert refused or "2 process(es) on cpu" in result.stdout


def test_wrong_number_of_processes_is_refused(folder: Path, tmp_path: Path) -> None:
    result = launch(["-m", "colornet.train", "ae", *options(folder, tmp_path / "run"), "--num-processes", "4"])
    assert result.returncode != 0
    assert result.stderr.count("--num-processes 4 was asked for but 2 are running") == 1
    assert not (tmp_path / "run").exists()
