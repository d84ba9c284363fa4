"""Measure how training scales: the same steps on 1, 2, … processes, and a model that predicts more of them.

`python -m benchmarks scaling --processes 1 2 --cpu --out scaling.json` starts that many processes of this machine, in
turns, and divides a step's time into arithmetic, communication and input. Weak scaling keeps the images of a process,
strong scaling those of all. docs/scaling.md explains the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from benchmarks.core.checks import check_alone, check_out, option
from benchmarks.throughput.options import EPOCH_IMAGES, check_presets, sized_preset
from colornet.config import TrainConfig, check_config
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors

__all__ = ["ScalingOptions", "main", "train_config"]


@dataclass(frozen=True)
class ScalingOptions:
    """What is timed on how many processes, and what is predicted."""

    processes: tuple[int, ...] = (1, 2)  # numbers of processes; 1 is always among them
    presets: tuple[str, ...] = ("ae", "cgan")  # presets of colornet.train
    batch_sizes: tuple[int, ...] = (32, 64)  # images a process
    bucket_mb: tuple[float, ...] = (25.0,)  # DDP's bucket sizes, MiB; one above all gradients sums after the backward
    width: int | None = None  # channels of the first level of every network
    blocks: int | None = None  # blocks per level of the generators
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"  # as in training
    compile: Literal["auto", "on", "off"] = "auto"  # as in training
    rounds: int = 3  # times that all process counts are measured, one after the other
    steps: int = 10  # timed steps of each kind in each round
    warmup: int = 3  # steps before them
    threads: int | None = None  # threads of a process on CPUs (default: the cores, divided by the most processes)
    predict: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)  # numbers of processes that the model predicts
    link_bandwidth: float | None = None  # GB/s each way of the link that is assumed (default: as measured here)
    link_latency: float | None = None  # microseconds a message takes on it (default: as measured here)
    compute: Path | None = None  # JSON of `throughput` whose training steps the prediction takes instead of those here
    data: str = "sample"  # cifar10, sample, or a folder of images; speed does not depend on what they show
    image_size: int = 32  # side of the square images, pixels
    cache_dir: Path | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)
    cpu: bool = False  # work on the CPU even where there are GPUs
    out: Path | None = None  # JSON file for the numbers, with a plot beside it; must not exist yet


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print the tables and write the JSON; mistakes of the user exit with code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(ScalingOptions, args=arguments, prog="python -m benchmarks scaling", description=__doc__)
        check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.scaling.legacy_report import draw, format_tables
        from benchmarks.scaling.measure import measure
        from colornet.runs.provenance import write_json

        record = measure(config)
        print(format_tables(record), flush=True)
        if config.out is not None:
            write_json(config.out, record)
            print(f"\nWritten to {config.out}")
            if record["models"]:
                print(f"and {draw(record, config.out.with_suffix('.png'))}")


def train_config(config: ScalingOptions, preset: str, images: int, processes: int) -> TrainConfig:
    """Return a preset as it would train with `images` a process."""
    return sized_preset(
        preset,
        config.width,
        config.blocks,
        data=config.data,
        image_size=config.image_size,
        batch_size=images * processes,
        mixed_precision=config.mixed_precision,
        compile=config.compile,
        cpu=config.cpu,
    )


def check(config: ScalingOptions) -> None:
    """Raise `InputError` for whatever would stop the measurement, without importing torch or touching a file."""
    check_alone("scaling starts its own")
    check_presets(config.presets)
    for name in ("presets", "processes", "batch_sizes", "bucket_mb", "predict"):
        values = getattr(config, name)
        if not values or (name != "presets" and min(values) <= 0):
            raise InputError(f"{option(name)} is {values}: name one or more, above 0.")
    for name, least in (("rounds", 1), ("steps", 1), ("warmup", 1), ("threads", 1)):
        if (value := getattr(config, name)) is not None and value < least:
            raise InputError(f"--{name} is {value}: it must be at least {least}.")
    for name in ("link_bandwidth", "link_latency"):
        if (value := getattr(config, name)) is not None and not value > 0:
            raise InputError(f"{option(name)} is {value}: it must be above 0.")
    most = max(config.processes)
    for preset in config.presets:
        for images in config.batch_sizes:
            check_config(train_config(config, preset, images, most), world_size=most)
    if max(config.batch_sizes) * most > EPOCH_IMAGES:
        raise InputError(f"--batch-sizes times --processes is more than an epoch of {EPOCH_IMAGES:,} images.")
    if config.compute is not None and not config.compute.is_file():
        raise InputError(f"--compute {config.compute} is no file: give a JSON that `throughput` wrote.")
    if config.mixed_precision == "fp16" and config.cpu:
        raise InputError("--mixed-precision fp16 needs a GPU: choose bf16, no or auto.")
    check_dataset(config.data)
    check_out(config.out, plot=True)
