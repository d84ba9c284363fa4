"""How much of its colors a gray image tells: `python -m benchmarks ceiling --data FOLDER --out FILE.json`.

Trains a network for two answers about an image whose lightness is all it sees: how colorful it was, and which of the
ten classes it shows. The colorfulness of what a deterministic colorizer makes of a gray image is an answer to the
first question, too, so its mean |ΔCF| is no less than the least error of any answer. One network's error is an upper
bound of that least error, to read |ΔCF| by; it proves nothing about better networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from benchmarks.core.checks import check_alone, check_out
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors

__all__ = ["CeilingOptions", "main"]


@dataclass(frozen=True)
class CeilingOptions:
    """The network that answers, and how it is trained."""

    out: Path  # JSON file for the answers' errors; must not exist yet
    data: str = "cifar10"  # cifar10, or a folder with its images sorted into classes
    widths: tuple[int, int, int] = (64, 256, 256)  # channels of the three groups of convolutions
    epochs: float = 10.0  # passes over the training images
    batch_size: int = 300  # images a step
    lr: float = 0.2  # peak learning rate of SGD, as of `benchmarks evaluator`
    mixed_precision: Literal["auto", "no", "bf16"] = "auto"  # auto: bf16 where the device computes it natively
    seed: int = 0  # seed of the weights, the order of the images and their augmentation
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and train; mistakes of the user end in one sentence and exit code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(CeilingOptions, args=arguments, prog="python -m benchmarks ceiling", description=__doc__)
        check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.evaluator.ceiling import study

        study(config)


def check(config: CeilingOptions) -> None:
    """Raise `InputError` for whatever would stop the training."""
    check_alone("what gray tells is measured in one")
    if config.epochs <= 0 or config.batch_size < 2:
        raise InputError("--epochs must be above 0, and --batch-size at least 2.")
    check_dataset(config.data)
    check_out(config.out)
