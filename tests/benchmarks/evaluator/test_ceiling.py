"""What gray images tell of their colors: the network finds it where it is there, and nothing where it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.evaluator.ceiling import ColorfulnessRegressor
from colornet.color import lab_to_rgb, to_uint8
from colornet.evaluation.loop import gray_floor
from colornet.metrics.evaluator import CIFAR10_CLASSES
from tests.colornet.metrics.test_image import photos

Rng = np.random.Generator


def write_stripes(root: Path, chroma: Callable[[int, Rng], float]) -> Path:
    """Write images whose class is the width of their stripes, and whose chroma is a function of class and chance."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 12)):
        for number, name in enumerate(CIFAR10_CLASSES):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                stripes = np.sin(2 * np.pi * (np.arange(32) + rng.uniform(0, 32)) * (number + 1) / 32)
                lab = np.stack((50 + 20 * np.tile(stripes, (32, 1)), *np.zeros((2, 32, 32))))
                lab[1:, :16] = chroma(number, rng)
                image = to_uint8(lab_to_rgb(torch.from_numpy(lab[None]).float()))[0]
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / part / name / f"{index:03d}.png")
    return root


def measure(root: Path) -> Any:
    out = root.parent / f"{root.name}.json"
    arguments = ["--data", str(root), "--cache-dir", str(root.parent / "cache"), "--out", str(out), "--cpu"]
    main(["ceiling", *arguments, "--widths", "8", "8", "8", "--batch-size", "50", "--epochs", "30", "--lr", "0.03"])
    return json.loads(out.read_text())


def test_what_lightness_tells_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = measure(write_stripes(tmp_path / "told", lambda number, _: 1.5 * number))
    found = record["splits"]["test"]
    assert found["delta_cf_image"] < 0.4 * found["delta_cf_image_median"]
    assert found["accuracy"] > 0.5  # chance is 0.1
    assert {"command", "commit", "versions", "device", "date"} <= record.keys()
    assert record["data"]["training_images"] == 216
    printed = capsys.readouterr().out
    assert f" {found['delta_cf_image']:.2f} |" in printed
    assert f" {found['accuracy']:.1%} |".replace("%", " %") in printed


def test_nothing_is_found_where_colors_are_chance(tmp_path: Path) -> None:
    found = measure(write_stripes(tmp_path / "chance", lambda _, rng: rng.uniform(0, 15)))["splits"]["test"]
    assert found["delta_cf_image"] > 0.9 * found["delta_cf_image_median"]


def test_only_the_lightness_is_seen() -> None:
    torch.manual_seed(0)
    network = ColorfulnessRegressor((6, 10, 14), photos(), 30.0, 15.0).eval()
    (logits, _), (of_gray, _) = network(photos()), network(gray_floor(photos()))  # a level of rounding apart
    torch.testing.assert_close(logits, of_gray, rtol=0, atol=0.02 * logits.std().item())
