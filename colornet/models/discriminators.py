"""The discriminators of the conditional GAN."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["DCGANDiscriminator", "PatchDiscriminator"]


class PatchDiscriminator(nn.Module):
    """Judge every patch of an image together with its condition; spectral normalization, no other statistics.

    Isola et al. 2017 (patches), Miyato et al. 2018 (spectral norm). Maps a condition (N, C_gray, H, W) and a color
    (N, C_color, H, W) to logits (N, 1, H / 4, W / 4), each seeing 28×28 pixels. Unless it is `conditional` it looks at
    the color only; `in_channels` are those of what it looks at.

    `torch`'s spectral norm iterates whenever a forward runs in training mode; two forwards of one update would then see
    different weights. So the module stays in evaluation mode, and `power_iteration` is called once an update.
    """

    separate_batches = False  # no batch statistics: real and fake images may share a forward

    def __init__(self, in_channels: int, *, width: int = 64, conditional: bool = True) -> None:
        super().__init__()
        self.conditional = conditional
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(in_channels, width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(4 * width, 4 * width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(4 * width, 1, 3, padding=1)),
        )
        self.eval()

    def forward(self, gray: Tensor, color: Tensor) -> Tensor:
        seen = torch.cat((gray, color), dim=1) if self.conditional else color
        return self.layers(seen)  # (N, 1, H / 4, W / 4)

    @torch.no_grad()
    def power_iteration(self) -> None:
        """Bring the estimate of every spectral norm one power iteration further."""
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                layer.train()
                _ = layer.weight  # computing the weight in training mode is what iterates
                layer.eval()


class DCGANDiscriminator(nn.Module):
    """The original notebooks' discriminator: 4×4 stride-2 convolutions with BatchNorm down to one logit per image.

    Radford et al. 2016. Maps a condition (N, C_gray, S, S) and a color (N, C_color, S, S) to logits (N, 1, 1, 1);
    S is a power of two of at least 8. Batch statistics of real and fake images must not mix: one forward each. Unless
    it is `conditional` it looks at the color only; `in_channels` are those of what it looks at.
    """

    separate_batches = True

    def __init__(self, in_channels: int, *, width: int = 64, image_size: int = 32, conditional: bool = True) -> None:
        super().__init__()
        self.conditional = conditional
        layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for _ in range(int(math.log2(image_size)) - 3):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.LeakyReLU(0.2),
            ]
            width *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 4))

    def forward(self, gray: Tensor, color: Tensor) -> Tensor:
        seen = torch.cat((gray, color), dim=1) if self.conditional else color
        return self.layers(seen)  # (N, 1, 1, 1)

    def power_iteration(self) -> None:
        """Do nothing: no weight is spectrally normalized here."""
