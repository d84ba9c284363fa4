"""Train the evaluator network: `python -m benchmarks evaluator --data FOLDER --out DIR`.

Trains a CIFAR-10 classifier from scratch on the 45,000 training images, and reports its accuracy on the 5,000
validation and the 10,000 test images, which select nothing. A fifth of each batch has wrong colors (another image's,
rotated hues, too little or too much chroma), and a second head learns to estimate the error of color of all images: a
classifier alone hardly uses color. The recipe is that of Jordan 2024 ("94% on CIFAR-10 in 3.29 Seconds on a Single
GPU") without its tricks for the last second, and with cutout.

With `--refit`, nothing is trained: an evaluator is loaded, and only its normalization and the scales of its features
are fitted to the images again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.core.checks import check_above, check_out_folder, check_range
from colornet.data.listing import check_dataset
from colornet.errors import InputError

SIZE = 32  # pixels


@dataclass(frozen=True)
class EvaluatorOptions:
    """How an evaluator is trained."""

    out: Path  # folder for cifar10-NAME.safetensors and cifar10-NAME.json; must not hold them yet
    name: str = "v2"  # NAME: v2 and v2-dev are what colornet/weights holds
    refit: Path | None = None  # do not train: fit the statistics and scales of this cifar10-NAME.json anew
    data: str = "cifar10"  # cifar10, or a folder with its images sorted into classes
    widths: tuple[int, int, int] = (64, 256, 256)  # channels of the three groups of convolutions
    epochs: float = 10.0  # passes over the training images
    batch_size: int = 300  # images a step
    wrong: float = 0.2  # share of a batch whose colors are wrong
    lr: float = 0.44  # peak learning rate of SGD with Nesterov momentum 0.85; a triangle from and to zero
    weight_decay: float = 1.3e-3  # weight decay
    label_smoothing: float = 0.2  # label smoothing of the classes
    shift: int = 2  # shift images at random by up to this many pixels
    cutout: int = 8  # side of a square of each image that is grayed out, pixels; 0: none
    mixed_precision: Literal["auto", "no", "bf16"] = "auto"  # auto: bf16 where the device computes it natively
    seed: int = 0  # seed of the weights, the order of the images, their augmentation and the wrong colors
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet


def check(options: EvaluatorOptions) -> None:
    """Raise `InputError` for invalid options."""
    check_above(options, epochs=0)
    check_range(options, wrong=(0, 1), cutout=(0, SIZE - 1), shift=(0, SIZE - 1))
    if options.batch_size - round(options.wrong * options.batch_size) < 2:
        raise InputError(f"--batch-size {options.batch_size} leaves no two images with true colors: choose more.")
    if options.refit is not None:
        check_card(options.refit)
    check_dataset(options.data)
    check_out_folder(options.out, [f"cifar10-{options.name}.{kind}" for kind in ("json", "safetensors")])


def check_card(path: Path) -> None:
    """Raise `InputError` unless a file is the card of an evaluator, by its name."""
    if not (path.is_file() and path.name.startswith("cifar10-") and path.suffix == ".json"):
        raise InputError(f"{path} is not an evaluator: name a cifar10-NAME.json that `benchmarks evaluator` wrote.")
