"""Measure how training scales: the same steps on 1, 2, … processes, and a model that predicts more of them.

`python -m benchmarks scaling --processes 1 2 --cpu --out scaling.json` starts that many processes of this machine,
interleaved, and divides a step's time into arithmetic, communication and input. Weak scaling keeps the images
per process, strong scaling those of all. docs/scaling.md explains the model.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.core.checks import check_above, check_file, check_fp16, check_least, check_out
from benchmarks.core.presets import EPOCH_IMAGES, check_presets, sized_preset
from colornet.config import check_config
from colornet.data.listing import check_dataset
from colornet.errors import InputError


@dataclass(frozen=True)
class ScalingOptions:
    """What is timed on how many processes, and what is predicted."""

    processes: tuple[int, ...] = (1, 2)  # numbers of processes; 1 is always among them
    presets: tuple[str, ...] = ("ae", "cgan")  # presets of colornet.train
    batch_sizes: tuple[int, ...] = (32, 64)  # images per process
    bucket_mb: tuple[float, ...] = (25.0,)  # DDP's bucket sizes, MiB; one above all gradients sums after the backward
    width: int | None = None  # channels of the first level of every network
    blocks: int | None = None  # blocks per level of the generators
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"  # as in training
    compile: Literal["auto", "on", "off"] = "auto"  # as in training
    rounds: int = 3  # interleaved measurements of all process counts
    steps: int = 10  # timed steps of each kind in each round
    warmup: int = 3  # steps before them
    threads: int | None = None  # threads per process on CPUs; None: the cores, divided by the most processes
    predict: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)  # numbers of processes that the model predicts
    link_bandwidth: float | None = None  # GB/s each way of the link that is assumed; None: as measured here
    link_latency: float | None = None  # microseconds a message takes on it; None: as measured here
    compute: Path | None = None  # JSON of `throughput` whose training steps the prediction takes instead of those here
    data: str = "sample"  # cifar10, sample, or a folder of images; speed does not depend on what they show
    image_size: int = 32  # side of the square images, pixels
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet
    cpu: bool = False  # work on the CPU even where there are GPUs
    out: Path | None = None  # JSON file for the numbers, with a plot beside it; must not exist yet


def check(options: ScalingOptions) -> None:
    """Raise `InputError` for options that cannot be used."""
    check_presets(options)
    check_least(options, processes=1, batch_sizes=1, predict=1, rounds=1, steps=1, warmup=1, threads=1)
    check_above(options, bucket_mb=0, link_bandwidth=0, link_latency=0)
    most = max(options.processes)
    for preset, images in itertools.product(options.presets, options.batch_sizes):
        check_config(sized_preset(options, preset, batch_size=images * most), world_size=most)
    if max(options.batch_sizes) * most > EPOCH_IMAGES:
        raise InputError(f"--batch-sizes times --processes is more than an epoch of {EPOCH_IMAGES:,} images.")
    check_file(options.compute, "give a JSON that `throughput` wrote to --compute")
    check_fp16(options)
    check_dataset(options.data)
    check_out(options.out, plot=True)
