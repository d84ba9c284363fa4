"""The configuration of a training run and the presets to start from, without torch: `--help` and mistakes are fast.

Every field is an option of `colornet train PRESET`; its trailing comment is the option's help text, and its class the
group in which `--help` shows it.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

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
    init_from: str | None = None  # start from the generator of this run folder or released model (ae, cgan)


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


# Values beyond these are typing errors, or come from a malicious configuration file.
_MOST = {"image_size": 4096, "width": 4096, "discriminator_width": 4096, "blocks": 64, "seed": 2**63 - 1,
         "noise_channels": 4096, "flow_steps": 100, "hang_timeout": 10**9}  # fmt: skip
_MOST_ATTENDED = 128  # side of the level with attention, whose cost grows with the fourth power of it
LARGEST = 10**12  # other whole numbers: torch counts in 64 bits, and multiplies them


def levels_for(image_size: int) -> tuple[int, ...]:
    """Return the multipliers of a network for images of a size: three levels, more as long as the lowest has 8 pixels.

    So attention always sees about 8 × 8 positions. Further levels are as wide as the third.
    """
    levels = list(TrainConfig().multipliers)
    while image_size % 2 ** len(levels) == 0 and image_size // 2 ** len(levels) >= 8:
        levels.append(levels[-1])
    return tuple(levels)


def check_config(config: TrainConfig, world_size: int = 1) -> None:
    """Raise `InputError` for a value that no run could use, naming the option and what it must be."""
    check_values(config)
    if config.num_processes is not None and config.num_processes != world_size:
        running = f"{world_size} {'is' if world_size == 1 else 'are'} running"
        advice = "start them with `accelerate launch` and a file of launch/accelerate/, or leave the option out"
        raise InputError(f"--num-processes {config.num_processes} was asked for but {running}: {advice}.")
    share = world_size * config.accumulation_steps
    if config.batch_size % share:
        size, parts = config.batch_size, f"{world_size} processes × --accumulation-steps {config.accumulation_steps}"
        raise InputError(f"--batch-size {size} cannot be divided by {parts}: choose a multiple of {share}.")


def check_values(config: TrainConfig) -> None:
    """Raise `InputError` for a value that makes no sense on any machine; saved configurations must pass this, too."""
    for name in ("image_size", "width", "blocks", "discriminator_width", "epochs", "batch_size", "accumulation_steps",
                 "penalty_every", "log_every", "eval_every", "eval_batch_size", "keep_checkpoints"):  # fmt: skip
        require_option(getattr(config, name) >= 1, config, name, "at least 1")
    for name in ("shift", "warmup_steps", "save_every", "seed", "noise_channels", "flow_steps"):
        require_option(getattr(config, name) >= 0, config, name, "at least 0")
    for name, value in vars(config).items():
        if name in _MOST or isinstance(value, int):
            most = _MOST.get(name, LARGEST)
            require_option(value <= most, config, name, f"at most {most:,}")
    for name in ("lr", "discriminator_lr", "lr_decay"):
        require_option(0 < getattr(config, name) < math.inf, config, name, "a positive number")
    for name in ("beta1", "beta2", "ema_decay"):
        require_option(0 <= getattr(config, name) < 1, config, name, "at least 0 and below 1")
    for name in ("hang_timeout", "reconstruction_weight", "r1_weight", "r2_weight", "flow_spread"):
        require_option(0 <= getattr(config, name) < math.inf, config, name, "a number of at least 0")
    require_option(not config.hang_exit or config.hang_timeout > 0, config, "hang_timeout", "above 0 for --hang-exit")
    require_option(config.max_steps is None or config.max_steps >= 1, config, "max_steps", "at least 1")
    budget = config.device_budget
    require_option(budget is None or 0 <= budget < math.inf, config, "device_budget", "a number of GiB of at least 0")
    norm = config.max_grad_norm
    require_option(norm is None or 0 < norm < math.inf, config, "max_grad_norm", "a number above 0, or None")
    require_option(config.shift < config.image_size, config, "shift", "below --image-size")
    levels = config.multipliers
    require_option(1 <= len(levels) <= 12, config, "multipliers", "one to twelve numbers")
    require_option(min(levels) >= 1, config, "multipliers", "numbers of at least 1")
    require_option(max(levels) <= _MOST["width"], config, "multipliers", f"numbers of at most {_MOST['width']:,}")
    wanted = f"a multiple of {config.size_multiple}, as --multipliers has {len(levels)} levels"
    require_option(config.image_size % config.size_multiple == 0, config, "image_size", wanted)
    require_option(config.image_size >= 11, config, "image_size", "at least 11, the window of SSIM")
    most = _MOST_ATTENDED * config.size_multiple
    wanted = f"at most {most:,} for attention at level {len(levels)} of --multipliers"
    require_option(not config.attention or config.image_size <= most, config, "image_size", wanted)
    _check_objective(config)
    if config.flow_steps:
        _check_flow(config)


def _check_flow(config: TrainConfig) -> None:
    """Check what a network with a flow needs, whatever the objective that trains it."""
    require_option(config.noise_channels >= 1, config, "noise_channels", "at least 1, the seed of the noise of a flow")
    require_option(config.color_space == "lab", config, "color_space", "lab for a flow")
    require_option(config.residual, config, "residual", "yes for a flow")
    require_option(len(config.multipliers) >= 2, config, "multipliers", "two numbers or more for a flow")


def _check_objective(config: TrainConfig) -> None:
    checks = {preset.config.objective: preset.check for preset in PRESETS.values()}
    file, _, name = config.objective.rpartition(":")
    known = file.endswith(".py") and name.isidentifier() if file else name in checks
    require_option(known, config, "objective", f"one of {', '.join(checks)}, or your own FILE.py:CLASS")
    if not file:  # the class of a user's own objective checks its options when it is built
        checks[name](config)


def require_option(ok: bool, options: Any, name: str, wanted: str) -> None:
    """Raise `InputError`, which says what the field of some options must be, unless it is `ok`."""
    if not ok:
        shown = reprlib.repr(getattr(options, name))
        raise InputError(f"--{name.replace('_', '-')} is {shown}: it must be {wanted}.")


def _check_no_discriminator(config: TrainConfig) -> None:
    for name in ("r1_weight", "r2_weight"):
        require_option(not getattr(config, name), config, name, "0 without a discriminator")
    require_option(not config.relativistic, config, "relativistic", "off without a discriminator")


def _check_reconstruction(config: TrainConfig) -> None:
    require_option(not config.flow_steps, config, "flow_steps", "0 unless --objective flow_matching")
    _check_no_discriminator(config)


def _check_flow_matching(config: TrainConfig) -> None:
    _check_no_discriminator(config)
    require_option(config.flow_steps >= 1, config, "flow_steps", "at least 1 for --objective flow_matching")


def _check_adversarial(config: TrainConfig) -> None:
    require_option(not config.flow_steps, config, "flow_steps", "0 unless --objective flow_matching")
    # Batch statistics enter the logits of the other discriminator: no gradient belongs to one image alone.
    patch = config.discriminator == "patch"
    for name in ("r1_weight", "r2_weight"):
        require_option(patch or not getattr(config, name), config, name, "0 unless --discriminator patch")
    require_option(patch or not config.relativistic, config, "relativistic", "off unless --discriminator patch")
    size = config.image_size
    if patch:
        require_option(size % 4 == 0, config, "image_size", "a multiple of 4 for --discriminator patch")
    else:
        require_option(size & (size - 1) == 0, config, "image_size", "a power of two for --discriminator dcgan")


class Preset(NamedTuple):
    """A configuration that a training starts from."""

    about: str  # one line for --help
    config: TrainConfig
    check: Callable[[TrainConfig], None]  # of the options that its objective uses; raises `InputError`
    options: tuple[str, ...] = ()  # those that only its objective uses
    weight_for_few: float = 0.0  # least weight of the reconstruction for a few thousand images or less


_ADVERSARIAL_OPTIONS = ("reconstruction_weight", "adversarial_loss", "relativistic", "r1_weight", "r2_weight",
                        "penalty_every", "spectral_norm", "discriminator",
                        "discriminator_width", "discriminator_lr", "conditional")  # fmt: skip

_FLOW_OPTIONS = ("flow_start", "flow_spread")

# The networks and training of the original notebooks as these describe themselves, even where it is not state of the
# art (docs/training.md, "Presets").
_NOTEBOOK = TrainConfig(
    flip=False,
    color_space="rgb",
    width=64,
    multipliers=(1, 2, 4, 8, 16),
    residual=False,
    attention=False,
    reconstruction_loss="mse",
    epochs=20,
    batch_size=64,
    lr_schedule="exponential",
    warmup_steps=0,
    max_grad_norm=None,
    ema_decay=0.0,
    mixed_precision="no",
    run_dir="runs/notebook-ae",
)

PRESETS: dict[str, Preset] = {
    "ae": Preset("Our autoencoder: residual U-Net, from L* to a*b*, L1 loss.", TrainConfig(), _check_reconstruction),
    "cgan": Preset(
        "Our conditional GAN: the same U-Net against a spectral-norm patch discriminator, cross-entropy and L1.",
        TrainConfig(
            objective="adversarial",
            reconstruction_weight=20.0,
            lr=4e-4,
            discriminator_lr=4e-4,
            beta1=0.5,
            max_grad_norm=None,
            run_dir="runs/cgan",
        ),
        _check_adversarial,
        _ADVERSARIAL_OPTIONS,
        weight_for_few=50.0,  # with a lower one, the generator memorizes them to satisfy the discriminator
    ),
    "flow": Preset(
        "Rectified flow: from the mean coloring of a U-Net, and noise around it, to a sample of the color.",
        TrainConfig(
            objective="flow_matching",
            reconstruction_loss="mse",
            noise_channels=2,
            flow_steps=4,
            run_dir="runs/flow",
        ),
        _check_flow_matching,
        _FLOW_OPTIONS,
    ),
    "notebook-ae": Preset(
        "The original notebooks' autoencoder: plain U-Net, from gray to RGB, MSE.", _NOTEBOOK, _check_reconstruction
    ),
    "notebook-cgan": Preset(
        "The original notebooks' conditional GAN: the same U-Net against a DCGAN discriminator, BCE and L1.",
        replace(
            _NOTEBOOK,
            objective="adversarial",
            discriminator="dcgan",
            reconstruction_loss="l1",
            reconstruction_weight=100.0,
            adversarial_loss="bce",
            lr=2e-4,
            beta1=0.5,
            lr_schedule="constant",
            run_dir="runs/notebook-cgan",
        ),
        _check_adversarial,
        _ADVERSARIAL_OPTIONS,
    ),
}


def unused_options(config: TrainConfig) -> set[str]:
    """Return the options that only other objectives use; none for a user's own objective, of which this is unknown."""
    named = [(preset.config.objective == config.objective, {*preset.options}) for preset in PRESETS.values()]
    used = [options for own, options in named if own]
    return {name for own, options in named for name in options if not own}.difference(*used) if used else set()
