"""Race to the original notebooks' result: how long a configuration of ours trains until it reaches the same error.

`python -m benchmarks speedrun --notebook-epochs 20 --seeds 5 --out speedrun.json` trains the notebooks' autoencoder
with its own loop, batch size and precision; its mean squared error on held-out images is the target. A configuration of
ours then starts from scratch, on the same images and the same device, and stops as soon as it is there.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from benchmarks.core.checks import check_alone, check_out, option
from benchmarks.throughput.options import NOTEBOOK_FACTOR
from colornet.config import TrainConfig, check_config
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors
from colornet.presets import PRESETS

__all__ = ["SpeedrunOptions", "check", "format_result", "main", "our_config"]


@dataclass(frozen=True)
class SpeedrunOptions:
    """The two sides of the race, the images, and where the numbers go; what is None is as in the preset."""

    # Ours
    preset: Literal["ae", "notebook-ae"] = "ae"  # what our configuration starts from
    color_space: Literal["rgb", "lab"] = "rgb"  # rgb: from the channel mean, as the notebooks; lab: from 8-bit L*
    reconstruction_loss: Literal["l1", "mse", "huber"] = "mse"  # distance between the predicted and the true color
    epochs: int | None = None  # the most passes over the images, and the horizon of the learning-rate schedule
    batch_size: int | None = None  # images per step
    lr: float | None = None  # learning rate
    lr_schedule: Literal["constant", "cosine", "exponential"] | None = None  # course of the learning rate
    warmup_steps: int | None = None  # steps of linear warm-up of the learning rate
    ema_decay: float | None = None  # moving average of the weights, which is what is evaluated; 0: none
    flip: bool | None = None  # flip images horizontally at random
    width: int | None = None  # channels of the first level
    multipliers: tuple[int, ...] | None = None  # channels of each level, in widths
    blocks: int | None = None  # blocks per level
    attention: bool | None = None  # self-attention at the lowest level
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"  # auto: bf16 where the device computes it natively
    compile: Literal["auto", "on", "off"] = "auto"  # torch.compile; auto: on GPUs
    seeds: int = 3  # how many times, with seeds from 0 on; the result is the median
    eval_steps: int = 50  # steps between evaluations: where the target may be found to be reached

    # The original notebooks'
    notebook_epochs: int = 20  # epochs of the notebooks' autoencoder (its own: 20); fewer are a smaller race
    notebook_width: int = 64  # channels of its first level, the notebooks' own number; fewer are another network

    # Both
    data: str = "cifar10"  # cifar10, sample, or a folder of images
    training_images: int | None = None  # train on so many of them, evenly spaced: a smaller race (default: all)
    image_size: int = 32  # side of the square images, pixels
    split: Literal["validation", "test"] = "validation"  # test is for a final figure: choose nothing by it
    eval_batch_size: int = 500  # images per step of evaluation
    cache_dir: Path | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the result, with a plot beside it; must not exist yet


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, hold the race, print the result and write the JSON; mistakes exit with code 2."""
    quiet = os.environ.get("RANK", "0") != "0"
    with exiting_on_errors(quiet=quiet):
        config = tyro.cli(
            SpeedrunOptions,
            args=arguments,
            prog="python -m benchmarks speedrun",
            description=__doc__,
            console_outputs=not quiet,
        )
        check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.speedrun.measure import race
        from benchmarks.speedrun.plot import draw
        from colornet.runs.provenance import write_json

        record = race(config)
        print(format_result(record), flush=True)
        if config.out is not None:
            write_json(config.out, record)
            print(f"\nWritten to {config.out} and {draw(record, config.out.with_suffix('.png'))}")


def our_config(config: SpeedrunOptions) -> TrainConfig:
    """Return our side of the race: the preset with the options that were given; its seed is set for each run."""
    shared = {field.name for field in dataclasses.fields(SpeedrunOptions)} & {
        field.name for field in dataclasses.fields(TrainConfig)
    }
    values = {name: value for name in shared - {"cache_dir"} if (value := getattr(config, name)) is not None}
    return dataclasses.replace(PRESETS[config.preset][1], **values)


def check(config: SpeedrunOptions) -> None:
    """Raise `InputError` for whatever would stop the race, without importing torch or touching a file."""
    check_alone("the race is held in one")
    for name in ("seeds", "eval_steps", "notebook_epochs", "notebook_width", "eval_batch_size", "training_images"):
        if (value := getattr(config, name)) is not None and value < 1:
            raise InputError(f"{option(name)} is {value}: it must be at least 1.")
    if config.image_size % NOTEBOOK_FACTOR:
        raise InputError(
            f"--image-size is {config.image_size}: the notebooks' network needs a multiple of {NOTEBOOK_FACTOR}."
        )
    if config.mixed_precision == "fp16" and config.cpu:
        raise InputError("--mixed-precision fp16 needs a GPU: choose bf16, no or auto.")
    check_config(our_config(config))
    check_dataset(config.data)
    check_out(config.out, plot=True)


# Result


def format_result(record: dict[str, Any]) -> str:
    """Lay out a record as text: the target, a line for each of our runs, the median."""
    seed, target, ratio = record["notebook_pipeline"], record["target"], record["median"]["ratio"]
    images = f"{target['images']:,} {target['split']} images"
    lines = [
        f"Race on {record['device']}: {record['data']['name']}, {images}, images of "
        f"{record['options']['image_size']}×{record['options']['image_size']} pixels",
        "",
        f"notebook pipeline, {seed['epochs']} epochs of {record['data']['training_images']:,} images, "
        f"width {seed['width']}, seed {seed['seed']}: MSE "
        f"{seed['curve'][-1]['mse']:.5f} in {_seconds(seed['seconds'])}; at or below it for the first time after "
        f"{_seconds(seed['seconds_to_target'])}",
        *(_run_line(run, target["mse"]) for run in record["runs"]),
        f"median of {len(record['runs'])}: {_seconds(record['median']['seconds'])}, "
        + ("no ratio" if ratio is None else f"the notebook pipeline takes {ratio:.2f} times as long")
        + (f", {cpu_ratio:.2f} times by the processor's time" if (cpu_ratio := record["median"]["cpu_ratio"]) else ""),
        "",
        record["gray"]["note"],
        "Seconds of training alone: evaluation and compilation are in the JSON, apart.",
    ]
    return "\n".join(lines)


def _run_line(run: dict[str, Any], target: float) -> str:
    prefix = f"ours, seed {run['seed']}: "
    if run["reached"]:
        mse, images = run["curve"][-1]["mse"], run["images"]
        return f"{prefix}MSE {mse:.5f} in {_seconds(run['seconds'])}, {images:,} images; ratio {run['ratio']:.2f}"
    return f"{prefix}{target:.5f} not reached: {run['reason']}"


def _seconds(value: float | None) -> str:
    return "not reached" if value is None else f"{value:,.4g} s"
