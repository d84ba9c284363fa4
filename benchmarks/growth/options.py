"""Measure what more training images cost: images per second of training on images in memory, mapped and streamed.

`python -m benchmarks growth --cpu --out growth.json` trains on data sets of several sizes, each in memory and streamed
from a file, interleaved. Widths and batch sizes are compared by `throughput`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.core.checks import check_fp16, check_least, check_out
from benchmarks.core.presets import check_presets, sized_preset
from colornet.config import check_config
from colornet.data.listing import check_dataset
from colornet.errors import InputError


@dataclass(frozen=True)
class GrowthOptions:
    """The networks, the numbers of images, and how often each is timed."""

    preset: str = "ae"  # preset of colornet.train
    width: int = 16  # channels of the first level of the networks
    batch_size: int = 64  # images per step
    sizes: tuple[int, ...] = (10_000, 50_000, 500_000, 5_000_000)  # numbers of images; the largest on a cold disk
    resident_limit: float | None = None  # GiB of images that are also held in memory; None: a quarter of the memory
    blocks: int | None = None  # blocks per level of the networks
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"  # as in training
    compile: Literal["auto", "on", "off"] = "auto"  # as in training
    rounds: int = 3  # interleaved measurements of everything
    steps: int = 20  # timed steps of each in each round
    warmup: int = 5  # steps before them, which use up the batches gathered ahead
    data: str = "sample"  # cifar10, sample, or a folder of images, which are repeated with noise
    image_size: int = 32  # side of the square images, pixels
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet
    scratch: Path | None = None  # folder in which the file of images is kept; None: made beside --out, removed
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the numbers, with a plot beside it; must not exist yet


def check(options: GrowthOptions) -> None:
    """Raise `InputError` for options that cannot be used."""
    check_presets(options, "preset")
    check_least(options, width=1, batch_size=1, sizes=1, resident_limit=0, blocks=1, rounds=1, steps=1, warmup=1)
    if options.batch_size > min(options.sizes):
        raise InputError(
            f"--batch-size is {options.batch_size}: it must be at most {min(options.sizes)}, the smallest of --sizes."
        )
    check_fp16(options)
    check_config(sized_preset(options, options.preset))
    check_dataset(options.data)
    if options.scratch is not None and options.scratch.exists() and not options.scratch.is_dir():
        raise InputError(f"--scratch {options.scratch} is a file: choose a folder.")
    check_out(options.out, plot=True)
