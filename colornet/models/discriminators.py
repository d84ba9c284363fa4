"""The discriminators of the conditional GAN."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized


class Discriminator(nn.Module):
    """Map a condition (N, C_gray, H, W), seen if `conditional`, and a color (N, C_color, H, W) to logits (N, 1, …)."""

    separate_batches: bool  # whether real and fake images need a forward pass each

    def __init__(self, layers: nn.Sequential, conditional: bool) -> None:
        super().__init__()
        self.layers = layers
        self.conditional = conditional

    def forward(self, gray: Tensor, color: Tensor) -> Tensor:
        seen = torch.cat((gray, color), dim=1) if self.conditional else color  # (N, C_gray + C_color, H, W)
        return self.layers(seen)

    def power_iteration(self) -> None:
        """Update the estimates of spectral norms, once in each training step; without any, do nothing."""


class PatchDiscriminator(Discriminator):
    """Classify every patch of an image, by default with spectral normalization: logits are (N, 1, H / 4, W / 4).

    Each logit sees 28×28 pixels. Isola et al. 2017 (patches), Miyato et al. 2018 (spectral norm). The module stays in
    evaluation mode, as `torch`'s spectral norm would iterate in each forward pass of training mode, several per update.
    """

    separate_batches = False  # there are no batch statistics

    def __init__(self, in_channels: int, *, width: int = 64, conditional: bool = True, normalized: bool = True) -> None:
        channels = (in_channels, width, 2 * width, 4 * width, 4 * width, 1)
        layers: list[nn.Module] = []
        for (i, o), stride in zip(itertools.pairwise(channels), (1, 2, 2, 1, 1), strict=True):
            convolution = nn.Conv2d(i, o, kernel_size=4 if stride == 2 else 3, stride=stride, padding=1)
            layers += [spectral_norm(convolution) if normalized else convolution, nn.LeakyReLU(0.2)]
        super().__init__(nn.Sequential(*layers[:-1]), conditional)  # logits have no activation
        self.eval()

    @torch.no_grad()
    def power_iteration(self) -> None:
        for layer in self.layers:
            if is_parametrized(layer):
                layer.train()
                _ = layer.weight  # computing the weight in training mode is what iterates
                layer.eval()


class DCGANDiscriminator(Discriminator):
    """The original notebooks' discriminator: 4×4 stride-2 convolutions with BatchNorm to one logit per image.

    Logits are (N, 1, 1, 1); `image_size` is a power of two of at least 8. Radford et al. 2016.
    """

    separate_batches = True  # the batch statistics of real and fake images must not mix

    def __init__(self, in_channels: int, *, width: int = 64, image_size: int = 32, conditional: bool = True) -> None:
        layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for _ in range(int(math.log2(image_size)) - 3):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.LeakyReLU(0.2),
            ]
            width *= 2
        super().__init__(nn.Sequential(*layers, nn.Conv2d(width, 1, 4)), conditional)
