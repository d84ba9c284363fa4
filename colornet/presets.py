"""The four configurations that a training starts from: ours, and the original notebooks' as it describes itself."""

from __future__ import annotations

import dataclasses

from colornet.config import TrainConfig

__all__ = ["PRESETS"]

_SEED = TrainConfig(
    # The original notebooks' own description, kept where one would choose otherwise today (docs: README, "Presets").
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

PRESETS: dict[str, tuple[str, TrainConfig]] = {
    "ae": ("Our autoencoder: residual U-Net, from L* to a*b*, L1 loss.", TrainConfig()),
    "cgan": (
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
    ),
    "notebook-ae": ("The original notebooks' autoencoder: plain U-Net, from gray to RGB, MSE.", _SEED),
    "notebook-cgan": (
        "The original notebooks' conditional GAN: the same U-Net against a DCGAN discriminator, BCE and L1.",
        dataclasses.replace(
            _SEED,
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
    ),
}
