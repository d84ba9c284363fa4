"""Predict colorfulness from lightness: `python -m benchmarks ceiling --data FOLDER --out FILE.json`.

Trains a network that sees only the lightness of an image to predict its colorfulness and its class. The colorfulness
of a deterministic colorizer's output is also such a prediction, so its mean |ΔCF| is at least the smallest error of any
prediction. The error of one network is an upper bound of that smallest error: a reference for |ΔCF|, not a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.core.checks import check_above, check_least, check_out
from colornet.data.listing import check_dataset


@dataclass(frozen=True)
class CeilingOptions:
    """The network that predicts, and how it is trained."""

    out: Path  # JSON file for the errors of its predictions; must not exist yet
    data: str = "cifar10"  # cifar10, or a folder with its images sorted into classes
    widths: tuple[int, int, int] = (64, 256, 256)  # channels of the three groups of convolutions
    epochs: float = 10.0  # passes over the training images
    batch_size: int = 300  # images a step
    lr: float = 0.2  # peak learning rate of SGD, as of `benchmarks evaluator`
    mixed_precision: Literal["auto", "no", "bf16"] = "auto"  # auto: bf16 where the device computes it natively
    seed: int = 0  # seed of the weights, the order of the images and their augmentation
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet


def check(options: CeilingOptions) -> None:
    """Raise `InputError` for invalid options."""
    check_above(options, epochs=0)
    check_least(options, batch_size=2)
    check_dataset(options.data)
    check_out(options.out)
