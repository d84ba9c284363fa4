"""Measure speed: images per second of training and inference, beside the original notebooks' pipeline in the same run.

`python -m benchmarks throughput --presets ae notebook-ae --out throughput.json` times the steps of training and the
inference path as `colornet` itself composes them: presets × batch sizes × precisions × compilation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.core.checks import check_above, check_least, check_not_empty, check_out
from benchmarks.core.presets import EPOCH_IMAGES, check_notebook_size, check_presets, sized_preset
from colornet.config import check_config
from colornet.data.listing import check_dataset
from colornet.errors import InputError


@dataclass(frozen=True)
class ThroughputOptions:
    """What is timed, how often, and where the numbers go."""

    presets: tuple[str, ...] = ("ae", "cgan", "notebook-ae", "notebook-cgan")  # presets of colornet.train
    batch_sizes: tuple[int, ...] = (64, 256)  # images per step
    precisions: tuple[Literal["auto", "no", "bf16", "fp16"], ...] = ("auto",)  # mixed precision; auto: as in training
    compile: tuple[Literal["auto", "on", "off"], ...] = ("auto",)  # torch.compile; auto: on for GPUs
    whole_steps: tuple[Literal["off", "on"], ...] = ("off",)  # --whole-step of training, in rows of its own
    modes: tuple[Literal["train", "inference"], ...] = ("train", "inference")  # which rows are timed
    width: int | None = None  # channels of the first level of every network, also of the notebook pipeline's
    notebook_width: int | None = None  # channels of the notebook pipeline's first level; None: --width, else 64
    blocks: int | None = None  # blocks per level of the residual generators
    activation_checkpointing: bool = False  # compute the generators' activations twice instead of keeping them
    steps: int = 30  # timed steps of each row
    warmup: int = 10  # steps before them that are not timed, beyond the first, which compiles
    notebook_pipeline: bool = True  # time the notebook pipeline before the first row and after every row
    notebook_steps: int = 10  # its timed steps each time
    roofline: bool = False  # print what each layer of a training step would take at best, and the step's share of that
    find_batch: bool = False  # search the largest batch that fits in memory; on a CPU in --memory-limit
    batch_granularity: int = 64  # how closely: beyond a power of two, multiples of this are tried
    memory_limit: float | None = None  # GiB that such a batch may occupy
    memory: bool = True  # on a CPU, measure the peak memory of each row in a fresh process
    data: str = "sample"  # cifar10, sample, or a folder of images; speed does not depend on what they show
    image_size: int = 32  # side of the square images, pixels
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the numbers; must not exist yet


def check(options: ThroughputOptions) -> None:
    """Raise `InputError` for options that cannot be used."""
    check_presets(options)
    check_not_empty(options, "precisions", "compile", "whole_steps", "modes")
    check_least(
        options, batch_sizes=1, width=1, notebook_width=1, blocks=1, steps=1, warmup=0, notebook_steps=1,
        batch_granularity=1,
    )  # fmt: skip
    check_above(options, memory_limit=0)
    for size in options.batch_sizes:
        if size > EPOCH_IMAGES:
            raise InputError(f"--batch-sizes is {size}: it must be at most {EPOCH_IMAGES:,}, the images of an epoch.")
        for preset in options.presets:
            check_config(sized_preset(options, preset, batch_size=size, compile="auto"))
    if options.notebook_pipeline:
        check_notebook_size(options.image_size, "; change it or leave its pipeline out by --no-notebook-pipeline")
    if options.memory_limit is not None and not options.find_batch:
        raise InputError("--memory-limit is for --find-batch only: add that or leave it out.")
    check_dataset(options.data)
    check_out(options.out)
