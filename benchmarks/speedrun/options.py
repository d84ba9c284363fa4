"""Time to the original notebooks' result: how long a configuration of ours trains until it reaches the same error.

`python -m benchmarks speedrun --notebook-epochs 20 --seeds 5 --out speedrun.json` trains the notebooks' autoencoder
with its own loop, batch size and precision; its mean squared error on held-out images is the target. A configuration of
ours then starts from scratch, on the same images and the same device, and stops as soon as it reaches the target.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.core.checks import check_fp16, check_least, check_out
from benchmarks.core.presets import check_notebook_size, shared_values
from colornet.config import PRESETS, TrainConfig, check_config
from colornet.data.listing import check_dataset


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
    seeds: int = 3  # how many times, with seeds from 0 on; the result is the median
    eval_steps: int = 50  # steps between evaluations: where the target may be found to be reached

    # The original notebooks'
    notebook_epochs: int = 20  # epochs of the notebooks' autoencoder (its own: 20); fewer are a smaller speedrun
    notebook_width: int = 64  # channels of its first level, the notebooks' own number; fewer are another network

    # Both
    data: str = "cifar10"  # cifar10, sample, or a folder of images
    training_images: int | None = None  # train on so many of them, evenly spaced: a smaller speedrun; None: all
    image_size: int = 32  # side of the square images, pixels
    split: Literal["validation", "test"] = "validation"  # test is for a final figure: choose nothing by it
    eval_batch_size: int = 500  # images per step of evaluation
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the result, with a plot beside it; must not exist yet


def our_config(options: SpeedrunOptions) -> TrainConfig:
    """Return our side of the speedrun: the preset with the options that were given; its seed is set for each run."""
    return dataclasses.replace(PRESETS[options.preset].config, **shared_values(options))


def check(options: SpeedrunOptions) -> None:
    """Raise `InputError` for options that cannot be used."""
    check_least(
        options, seeds=1, eval_steps=1, notebook_epochs=1, notebook_width=1, eval_batch_size=1, training_images=1
    )
    check_notebook_size(options.image_size)
    check_fp16(options)
    check_config(our_config(options))
    check_dataset(options.data)
    check_out(options.out, plot=True)
