"""Networks from a configuration."""

from __future__ import annotations

from typing import Any

import torch

from colornet.color import ColorSpace, LabSpace, RgbSpace
from colornet.config import TrainConfig
from colornet.models.discriminators import DCGANDiscriminator, Discriminator, PatchDiscriminator
from colornet.models.flow import FlowUNet
from colornet.models.unet import UNet

Generator = UNet | FlowUNet


def color_space(config: TrainConfig) -> ColorSpace:
    """Return the color space in which the networks of a configuration work."""
    return LabSpace() if config.color_space == "lab" else RgbSpace()


def build_generator(config: TrainConfig) -> Generator:
    """Build the generator; its weights come from torch's global random numbers."""
    shape: dict[str, Any] = {
        "width": config.width,
        "multipliers": config.multipliers,
        "blocks": config.blocks,
        "attention": config.attention,
        "norm": config.norm,
        "noise_channels": config.noise_channels,
        "activation_checkpointing": config.activation_checkpointing,
    }
    if config.flow_steps:
        shape |= {"from_mean": config.flow_start == "mean", "spread": config.flow_spread, "steps": config.flow_steps}
        return FlowUNet(**shape).to(memory_format=torch.channels_last)
    generator = UNet(1, color_space(config).color_channels, residual=config.residual, **shape)
    return generator.to(memory_format=torch.channels_last)


def build_discriminator(config: TrainConfig) -> Discriminator:
    """Build the discriminator; its weights come from torch's global random numbers."""
    channels = color_space(config).color_channels + (1 if config.conditional else 0)
    width, conditional = config.discriminator_width, config.conditional
    if config.discriminator == "patch":
        discriminator: Discriminator = PatchDiscriminator(
            channels, width=width, conditional=conditional, normalized=config.spectral_norm
        )
    else:
        discriminator = DCGANDiscriminator(channels, width=width, conditional=conditional, image_size=config.image_size)
    return discriminator.to(memory_format=torch.channels_last)
