"""What a training may start from, and what each preset's objective asks of the options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from colornet.config.options import TrainConfig, require_option


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
