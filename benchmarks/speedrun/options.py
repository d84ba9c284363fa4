"""Time to the original notebooks' result: how long a configuration of ours trains until it reaches the same error.

`python -m benchmarks speedrun --notebook-epochs 20 --seeds 5 --out speedrun.json` trains the notebooks' autoencoder
with its own loop, batch size and precision; its mean squared error on held-out images is the target. A configuration of
ours then starts from scratch, on the same images and the same device, and stops as soon as it reaches the target.

`--to-quality 0.25 --recipes "cgan --width 16" "wide: cgan --width 32 --threads 2"` instead measures how long each of
these command lines of `colornet train` takes until e of the validation images is at or below the value, interleaved.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.core.checks import check_fp16, check_least, check_not_empty, check_out, check_range, option
from benchmarks.core.presets import check_notebook_size, shared_values
from colornet.config import PRESETS, TrainConfig, check_config
from colornet.data.listing import check_dataset
from colornet.errors import InputError
from colornet.train import parse


@dataclass(frozen=True)
class SpeedrunOptions:
    """The two sides of the speedrun, the images, and where the numbers go; None keeps the value of the preset."""

    # Ours
    preset: Literal["ae", "notebook-ae"] = "ae"  # what our configuration starts from
    color_space: Literal["rgb", "lab"] = "rgb"  # rgb: from the channel mean, as the notebooks; lab: from 8-bit L*
    reconstruction_loss: Literal["l1", "mse"] = "mse"  # distance between the predicted and the true color
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
    seeds: int = 5  # how many times, with seeds from 0 on; the result is the median
    eval_steps: int = 50  # steps between evaluations: where the target may be found to be reached

    # The original notebooks'
    notebook_epochs: int = 20  # epochs of the notebooks' autoencoder (its own: 20); fewer are a smaller speedrun
    notebook_width: int = 64  # channels of its first level, the notebooks' own number; fewer are another network

    # To a quality, without the notebooks' network
    to_quality: float | None = None  # measure the time until e, the distance of colorings as a share of gray's, is this
    recipes: tuple[str, ...] = ("cgan",)  # [NAME: ]PRESET and options of colornet train, --threads N, --processes N
    eval_images: int = 5000  # training images between evaluations, of every recipe: where the value may be reached

    # Both
    data: str = "cifar10"  # cifar10, sample, or a folder of images
    training_images: int | None = None  # train on so many of them, evenly spaced: a smaller speedrun; None: all
    image_size: int = 32  # side of the square images, pixels
    split: Literal["validation", "test"] = "validation"  # test is for a final figure: choose nothing by it
    eval_batch_size: int = 500  # images per step of evaluation
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the result, with a plot beside it; must not exist yet


# What both kinds of speedruns use, and what only one to a quality does.
SHARED = {"seeds", "data", "training_images", "image_size", "eval_batch_size", "cache_dir", "cpu", "out"}
TO_QUALITY = {"to_quality", "recipes", "eval_images"}

OF_THE_RACE = {"data", "image_size", "eval_batch_size", "cache_dir", "cpu", "seed", "resume", "run_dir", "init_from",
               "config", "max_steps", "num_processes", "dry_run", "profile", "track"}  # fmt: skip
"""Options of a training that a recipe must not have: those of the speedrun itself, and those of run folders."""


class Recipe(NamedTuple):
    """What is timed by a speedrun to a quality."""

    name: str
    command: str  # the preset and the options that were given
    preset: str
    config: TrainConfig
    threads: int | None  # of each process on a CPU; None: as the program starts
    processes: int


def our_config(options: SpeedrunOptions) -> TrainConfig:
    """Return our side of the speedrun: the preset with the options that were given; its seed is set for each run."""
    return dataclasses.replace(PRESETS[options.preset].config, **shared_values(options))


def check(options: SpeedrunOptions) -> None:
    """Raise `InputError` for options that cannot be used."""
    check_least(
        options, seeds=1, eval_steps=1, notebook_epochs=1, notebook_width=1, eval_batch_size=1, training_images=1,
        eval_images=1,
    )  # fmt: skip
    check_kind(options)
    if options.to_quality is None:
        check_notebook_size(options.image_size)
        check_fp16(options)
        check_config(our_config(options))
    else:
        check_range(options, to_quality=(0, 1))
        read_recipes(options)
    check_dataset(options.data)
    check_out(options.out, plot=True)


def check_kind(options: SpeedrunOptions) -> None:
    """Refuse options that the speedrun that is asked for would ignore."""
    to_quality = options.to_quality is not None
    for field in dataclasses.fields(SpeedrunOptions):
        if field.name in SHARED or getattr(options, field.name) == field.default:
            continue
        if to_quality and field.name not in TO_QUALITY:
            where = "write it into --recipes" if hasattr(TrainConfig, field.name) else "leave it out"
            raise InputError(f"{option(field.name)} has no meaning with --to-quality: {where}.")
        if not to_quality and field.name in TO_QUALITY:
            raise InputError(f"{option(field.name)} has no meaning without --to-quality: add that, or leave it out.")


def read_recipes(options: SpeedrunOptions) -> list[Recipe]:
    """Read --recipes; raise `InputError` for those that cannot be used. A mistyped option exits as in a training."""
    check_not_empty(options, "recipes")
    recipes = [_read_recipe(options, text) for text in options.recipes]
    names = [recipe.name for recipe in recipes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--recipes has two named {twice[0]!r}: put another name and a colon before one of them.")
    return recipes


def _read_recipe(options: SpeedrunOptions, text: str) -> Recipe:
    name, colon, line = text.partition(": ")
    name, line = (name.strip(), line) if colon else (text, text)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--processes", type=int, default=1)
    try:
        own, words = parser.parse_known_args(shlex.split(line))
    except (argparse.ArgumentError, ValueError) as error:
        raise InputError(f"--recipes {name!r} cannot be read ({error}): correct it.") from error
    if not words or words[0] not in PRESETS:
        raise InputError(f"--recipes {name!r} names no preset first: it must be one of {', '.join(PRESETS)}.")
    given = {word[2:].partition("=")[0].replace("-", "_").removeprefix("no_") for word in words if word[:2] == "--"}
    if refused := sorted(given & OF_THE_RACE):
        raise InputError(f"--recipes {name!r} has {option(refused[0])}, which the speedrun sets: leave it out.")
    for least, value in (("threads", own.threads), ("processes", own.processes)):
        if value is not None and value < 1:
            raise InputError(f"--recipes {name!r} has --{least} {value}: it must be at least 1.")
    place = ["--data", options.data, "--image-size", str(options.image_size)]
    place += ["--eval-batch-size", str(options.eval_batch_size), *(["--cpu"] if options.cpu else [])]
    place += ["--cache-dir", str(options.cache_dir)] if options.cache_dir else []
    config = parse([*words, *place])
    check_config(config, world_size=own.processes)
    if config.mixed_precision == "fp16" and options.cpu:
        raise InputError(f"--recipes {name!r} has --mixed-precision fp16, which needs a GPU: choose bf16, no or auto.")
    return Recipe(name, shlex.join(words), words[0], config, own.threads, own.processes)
