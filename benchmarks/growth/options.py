"""Measure what growth costs: images per second of training against width, batch and number of training images.

`python -m benchmarks growth --cpu --out growth.json` trains networks of several widths, with several batches and on
data sets of several sizes, each in memory and streamed from a file, in turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from benchmarks.core.checks import check_alone, check_out, option
from benchmarks.throughput.options import sized_preset
from colornet.config import TrainConfig, check_config
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors
from colornet.presets import PRESETS

__all__ = ["GrowthOptions", "main", "train_config"]


@dataclass(frozen=True)
class GrowthOptions:
    """What grows, from where, and how often it is timed."""

    preset: str = "ae"  # preset of colornet.train
    width: int = 16  # channels of the first level of the networks where batch or data set grow
    batch_size: int = 64  # images per step where width or data set grow
    images: int = 50_000  # training images where width or batch grow; one of --sizes
    widths: tuple[int, ...] = (8, 16, 32, 64)  # widths to compare
    batch_sizes: tuple[int, ...] = (16, 32, 64, 128, 256, 512)  # batches to compare
    sizes: tuple[int, ...] = (10_000, 50_000, 500_000, 5_000_000)  # numbers of images; the largest on a cold disk
    resident_limit: float | None = None  # GiB of images that are also held in memory (default: a quarter of it)
    blocks: int | None = None  # blocks per level of the networks
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"  # as in training
    compile: Literal["auto", "on", "off"] = "auto"  # as in training
    rounds: int = 3  # times that everything is measured, one after the other
    steps: int = 20  # timed steps of each in each round
    warmup: int = 5  # steps before them; what was gathered ahead at their start must be used up
    data: str = "sample"  # cifar10, sample, or a folder of images, which are repeated with noise
    image_size: int = 32  # side of the square images, pixels
    cache_dir: Path | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)
    scratch: Path | None = (
        None  # folder of the file of images, which is kept there (default: made beside --out, removed)
    )
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the numbers, with a plot beside it; must not exist yet


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print the tables and write the JSON; mistakes of the user exit with code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(GrowthOptions, args=arguments, prog="python -m benchmarks growth", description=__doc__)
        check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.growth.measure import measure
        from benchmarks.growth.report import draw, format_tables
        from colornet.runs.provenance import write_json

        record = measure(config)
        print(format_tables(record), flush=True)
        if config.out is not None:
            write_json(config.out, record)
            print(f"\nWritten to {config.out}\nand {draw(record, config.out.with_suffix('.png'))}")


def train_config(config: GrowthOptions, width: int, batch_size: int) -> TrainConfig:
    """Return the preset as it would train at a width and with a batch."""
    return sized_preset(
        config.preset,
        width,
        config.blocks,
        data=config.data,
        image_size=config.image_size,
        batch_size=batch_size,
        mixed_precision=config.mixed_precision,
        compile=config.compile,
        cpu=config.cpu,
    )


def check(config: GrowthOptions) -> None:
    """Raise `InputError` for whatever would stop the measurement, without importing torch or touching a file."""
    check_alone("growth is measured in one")
    if config.preset not in PRESETS:
        raise InputError(f"--preset is {config.preset!r}: it must be one of {', '.join(PRESETS)}.")
    for name in ("widths", "batch_sizes", "sizes"):
        values = getattr(config, name)
        if not values or min(values) < 1:
            raise InputError(f"{option(name)} is {values}: name one or more, above 0.")
    for name, least in (("width", 1), ("batch_size", 1), ("rounds", 1), ("steps", 1), ("warmup", 1), ("blocks", 1)):
        if (value := getattr(config, name)) is not None and value < least:
            raise InputError(f"{option(name)} is {value}: it must be at least {least}.")
    if config.images not in config.sizes:
        raise InputError(f"--images is {config.images}: it must be one of --sizes {config.sizes}.")
    if max(config.batch_sizes) > config.images or config.batch_size > min(config.sizes):
        raise InputError("--batch-sizes or --batch-size name more than the images that there are: choose fewer.")
    if config.resident_limit is not None and not 0 <= config.resident_limit < math.inf:
        raise InputError(f"--resident-limit is {config.resident_limit}: it must be a number of GiB of at least 0.")
    if config.mixed_precision == "fp16" and config.cpu:
        raise InputError("--mixed-precision fp16 needs a GPU: choose bf16, no or auto.")
    for width in {config.width, *config.widths}:
        for batch_size in {config.batch_size, *config.batch_sizes}:
            check_config(train_config(config, width, batch_size))
    check_dataset(config.data)
    if config.scratch is not None and config.scratch.exists() and not config.scratch.is_dir():
        raise InputError(f"--scratch {config.scratch} is a file: choose a folder.")
    check_out(config.out, plot=True)
