"""The configuration of a training run, without torch: `--help` and mistakes are fast.

Every field is an option of `colornet train PRESET`; its trailing comment is the option's help text, and its class the
group in which `--help` shows it.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any, Literal

from colornet.errors import InputError

Tracker = Literal["tensorboard", "wandb", "trackio", "mlflow"]


@dataclass(frozen=True)
class DataOptions:
    """The images that are trained on."""

    data: str = "cifar10"  # data set: cifar10, sample, a folder of images, or one of the Hub, hf:OWNER/NAME
    image_size: int = 32  # side of the square training images, pixels
    flip: bool = True  # flip images horizontally at random
    shift: int = 0  # shift images at random by up to this many pixels
    cache_dir: str | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet


@dataclass(frozen=True)
class NetworkOptions:
    """The generator and, in the adversarial objective, the discriminator."""

    color_space: Literal["lab", "rgb"] = "lab"  # lab: from L* to a*b*; rgb: from the channel mean to RGB
    width: int = 64  # channels of the generator's first level
    multipliers: tuple[int, ...] = (1, 2, 4)  # channels of each level, in widths; if not given, --image-size decides
    blocks: int = 2  # blocks per level of the generator
    residual: bool = True  # residual blocks with GroupNorm; no: the original notebooks' convolutions with BatchNorm
    attention: bool = True  # self-attention at the lowest level of the generator
    norm: Literal["group", "batch"] = "group"  # normalization in residual blocks
    noise_channels: int = 0  # random numbers per image that the generator sees beside gray; 0: one coloring per image
    flow_steps: int = 0  # steps of the flow that ends at the color, of two evaluations each; 0: a U-Net without one
    flow_start: Literal["mean", "noise"] = "mean"  # mean: the flow starts near a mean coloring; noise: at noise alone
    flow_spread: float = 0.8  # noise around the mean coloring, in standard deviations of a*b*
    discriminator: Literal["patch", "dcgan"] = "patch"  # patch: spectral norm, many logits; dcgan: BatchNorm, one
    discriminator_width: int = 64  # channels of the discriminator's first level
    spectral_norm: bool = True  # spectral normalization of the patch discriminator; without it, use gradient penalties
    conditional: bool = True  # let the discriminator see the gray image, too
    init_from: str | None = None  # start from the generator of this run folder or model (ae, cgan, hf:OWNER/NAME)


@dataclass(frozen=True)
class ObjectiveOptions:
    """What the generator learns to minimize."""

    objective: str = "reconstruction"  # reconstruction, adversarial, flow_matching, or your own FILE.py:CLASS
    reconstruction_loss: Literal["l1", "mse"] = "l1"  # distance between the predicted and the true color
    reconstruction_weight: float = 1.0  # weight of that distance in the adversarial objective; higher for few images
    adversarial_loss: Literal["bce", "hinge"] = "bce"  # bce: cross-entropy, non-saturating
    relativistic: bool = False  # compare the logits of true and generated colors of the same gray image
    r1_weight: float = 0.0  # weight of the gradient penalty on true colors; 0: none
    r2_weight: float = 0.0  # weight of the gradient penalty on generated colors; 0: none
    penalty_every: int = 16  # steps between gradient penalties, each with as many times the weight


@dataclass(frozen=True)
class OptimizationOptions:
    """How long and in which steps the networks learn."""

    epochs: int = 30  # passes over the training images; the horizon of the learning-rate schedule
    max_steps: int | None = None  # stop after this many steps, with a checkpoint; schedules stay those of --epochs
    batch_size: int = 256  # images per step, over all processes; if not given, fewer for less than 8,192 images
    accumulation_steps: int = 1  # micro-batches in which each process works through its share of a batch
    lr: float = 1e-3  # learning rate of the generator
    discriminator_lr: float = 2e-4  # learning rate of the discriminator
    beta1: float = 0.9  # first moment decay of Adam
    beta2: float = 0.999  # second moment decay of Adam
    lr_schedule: Literal["constant", "cosine", "exponential"] = "cosine"  # course of the learning rates over the epochs
    lr_decay: float = 0.9  # factor after each epoch of the exponential schedule
    warmup_steps: int = 200  # steps of linear warm-up of the learning rates; for few images a tenth of all steps
    max_grad_norm: float | None = 1.0  # clip the gradient of each network to this L2 norm
    ema_decay: float = 0.999  # moving average of the generator, at most (1 + step) / (10 + step); 0: none


@dataclass(frozen=True)
class RunOptions:
    """Where and how the training runs; most of these change no weight."""

    run_dir: str = "runs/ae"  # folder of the run
    resume: Literal["never", "auto"] = "never"  # auto: resume the run in --run-dir, or start it
    seed: int = 0  # seed of the weights, the order of the images and their augmentation
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"  # auto: bf16 where the device computes it natively
    compile: Literal["auto", "on", "off"] = "auto"  # torch.compile the networks; auto: on GPUs
    whole_step: bool = False  # launch a step as one CUDA graph; untried on a GPU; one process, no fp16
    activation_checkpointing: bool = False  # compute the generator's activations twice instead of keeping them
    cpu: bool = False  # train on the CPU even where there is a GPU
    num_processes: int | None = None  # refuse to run with any other number of processes
    log_every: int = 50  # steps between points of the training curves; fewer in a run of less than 1,000 steps
    track: tuple[Tracker, ...] = ("tensorboard",)  # where the curves go; to TensorBoard and metrics.jsonl in any case
    eval_every: int = 1  # epochs between evaluations on the validation images
    eval_batch_size: int = 500  # images per process in a step of evaluation
    save_every: int = 1000  # steps between checkpoints; one more is written after each evaluation
    keep_checkpoints: int = 2  # how many of the newest checkpoints are kept
    hang_timeout: float = 600.0  # seconds without a step after which each process logs where it stands; 0: never
    hang_exit: bool = False  # then end the process with exit code 1, so that a launcher can restart the run
    device_budget: float | None = None  # GiB of a device for images, more are streamed; None: a quarter of what is free
    profile: bool = False  # trace five early steps into RUN_DIR/profile; opens in Perfetto or chrome://tracing
    dry_run: bool = False  # check everything, print the configuration, train nothing


@dataclass(frozen=True)
class TrainConfig(RunOptions, OptimizationOptions, ObjectiveOptions, NetworkOptions, DataOptions):
    """Everything that defines a run; written to `config.json` in its folder."""

    @property
    def size_multiple(self) -> int:
        """What the sides of an image must be multiples of, so that each level can halve them."""
        return 2 ** (len(self.multipliers) - 1)


def levels_for(image_size: int) -> tuple[int, ...]:
    """Return the multipliers of a network for images of a size: three levels, more as long as the lowest has 8 pixels.

    So attention always sees about 8 × 8 positions. Further levels are as wide as the third.
    """
    levels = list(TrainConfig().multipliers)
    while image_size % 2 ** len(levels) == 0 and image_size // 2 ** len(levels) >= 8:
        levels.append(levels[-1])
    return tuple(levels)


def require_option(ok: bool, options: Any, name: str, wanted: str) -> None:
    """Raise `InputError`, which says what the field of some options must be, unless it is `ok`."""
    if not ok:
        shown = reprlib.repr(getattr(options, name))
        raise InputError(f"--{name.replace('_', '-')} is {shown}: it must be {wanted}.")
