"""What several test files share: small runs on data made here, in seconds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from colornet.config import PRESETS, TrainConfig

# Tests run two of them side by side at times; more threads than that only wait for each other.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

LEFT_OUT = pytest.StashKey[int]()  # how many system tests were deselected


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the system tests, the longest: at the end, one process would wait for the other's."""
    items.sort(key=lambda item: item.get_closest_marker("system") is None)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the system tests that are left out; a worker of pytest-xdist hands the number to its controller."""
    config, left_out = items[0].config, sum(item.get_closest_marker("system") is not None for item in items)
    config.stash[LEFT_OUT] = left_out
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the number from a worker, all of which leave out the same."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was not run."""
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"System tests left out: {left_out}. To run them: bash launch/test.sh -m system")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep decoded images away from the user's own."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("COLORNET_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 60 training and 21 test images of 16×16 pixels: smooth colors that follow from lightness and position."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("test", 21)):
        for index in range(count):
            ramp = np.linspace(0, 1, 16)
            light = 0.2 + 0.6 * np.outer(rng.permuted([1 - ramp, ramp], axis=0)[0], rng.uniform(0.3, 1, 16))
            warm = light[..., None] * np.array([1.0, 0.7, 0.3])
            cold = light[..., None] * np.array([0.3, 0.6, 1.0])
            pixels = np.where(light[..., None] > 0.4, warm, cold)
            path = root / part / f"class{index % 3}" / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
    return root


@pytest.fixture
def tf32() -> Iterator[Any]:
    """Let convolutions use TF32, as on GPUs by default, and yield the setting; it exists without a GPU, too."""
    backends: Any = torch.backends  # which makes some of its settings at run time, unseen by mypy
    setting = backends.cudnn.conv
    before, setting.fp32_precision = setting.fp32_precision, "tf32"
    yield setting
    setting.fp32_precision = before


def small(preset: str, folder: Path, run_dir: Path, **changes: Any) -> TrainConfig:
    """Return a preset small enough to train in a second: 54 training images, 6 steps an epoch."""
    values: dict[str, Any] = {
        "data": str(folder),
        "image_size": 16,
        "width": 8,
        "multipliers": (1, 2),
        "blocks": 1,
        "discriminator_width": 8,
        "batch_size": 8,
        "epochs": 3,
        "log_every": 2,
        "mixed_precision": "no",
        "cpu": True,
        "run_dir": str(run_dir),
    }
    return dataclasses.replace(PRESETS[preset].config, **(values | changes))
