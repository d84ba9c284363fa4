"""The evaluator network: a CIFAR-10 classifier that is sensitive to color, never part of a training loss.

It predicts the ten classes and how far an image's colors are from the true ones, the task that makes its features
sensitive to color. Distances on its features are called `fd_cifar10_v2`, `kid_cifar10_v2_dev` and so on, never FID. Two
are shipped: `v2` for results, `v2-dev` for development.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from einops.layers.torch import Reduce
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as F

from colornet.color import to_float

SHIPPED = ("v2", "v2-dev")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_WEIGHTS = Path(__file__).parents[1] / "weights"
_SIZE = 32  # pixels
_PATCH = 2  # side of the patches that the first layer whitens


class ConvGroup(nn.Module):
    """Halve the size between two 3×3 convolutions: (N, C_in, H, W) → (N, C_out, H // 2, W // 2).

    For short trainings (Jordan 2024), convolutions start as identities, and normalization learns no scales.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        for conv in (self.conv1, self.conv2):
            nn.init.dirac_(conv.weight.detach()[: conv.in_channels])
        for norm in (self.norm1, self.norm2):
            norm.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv1(x), 2)  # (N, C_out, H // 2, W // 2)
        return F.silu(self.norm2(self.conv2(F.silu(self.norm1(x)))))


class Cifar10Classifier(nn.Module):
    """A small convolutional network after a fixed whitening of 2×2 patches, after Page 2019 and Jordan 2024.

    Whitening gives chroma, which varies little in photographs, the same weight as luminance. Takes uint8 sRGB images
    (N, 3, H, W); other sizes than 32×32 are resized first (bilinear, antialiased). `widths` are the channels of the
    three groups of convolutions.

    Its features are the mean over positions of the last group's maps and the standard deviations of the first two
    groups' maps (docs/protocol.md gives the reasons). Each of the three parts is scaled to a total variance of 1 over
    the training images.
    """

    scales: Tensor

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        channels = 2 * 3 * _PATCH**2
        self.whiten = nn.Conv2d(3, channels, _PATCH).requires_grad_(False)
        self.groups = nn.ModuleList(ConvGroup(i, o) for i, o in zip((channels, *widths), widths, strict=False))
        self.pool = Reduce("n c h w -> n c", "mean")
        self.classes = nn.Linear(widths[-1], len(CIFAR10_CLASSES))
        self.color_error = nn.Linear(widths[-1], 3)
        self.register_buffer("scales", torch.ones(3))

    @torch.no_grad()
    def fit_whitening(self, images: Tensor, epsilon: float = 5e-4) -> None:
        """Set the first layer so that it decorrelates the patches of these uint8 images (N, 3, H, W), once per sign."""
        patches = to_float(images).unfold(2, _PATCH, 1).unfold(3, _PATCH, 1)  # (N, 3, H - 1, W - 1, 2, 2)
        patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2).double()  # (N * (H - 1) * (W - 1), 12)
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(patches.T))
        filters = (vectors / (values + epsilon).sqrt()).T  # (12, 12), one filter a row
        filters = torch.cat((filters, -filters))  # (24, 12)
        self.whiten.weight.copy_(filters.unflatten(1, (3, _PATCH, _PATCH)))
        assert self.whiten.bias is not None
        self.whiten.bias.copy_(-filters @ mean)

    def levels(self, images: Tensor) -> list[Tensor]:
        """Return the maps after every group of uint8 sRGB images (N, 3, H, W): (N, widths[i], h, w), h = 15, 7, 3."""
        x = to_float(images)
        if x.shape[-2:] != (_SIZE, _SIZE):
            x = F.interpolate(x, size=(_SIZE, _SIZE), mode="bilinear", antialias=True)
        x = self.whiten(x.contiguous(memory_format=torch.channels_last))  # (N, 24, 31, 31)
        maps = []
        for group in self.groups:
            x = group(x)
            maps.append(x)
        return maps

    def features(self, images: Tensor) -> Tensor:
        """Return the features of uint8 images (N, 3, H, W): (N, widths[2] + widths[0] + widths[1])."""
        return self._scaled(self._parts(images))

    def measure(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the `features` and the logits of the classes (N, 10) of uint8 images (N, 3, H, W).

        The logits are the mean of those of the image and of its mirror image, at twice the work.
        """
        parts = self._parts(images)
        mirrored = self.pool(self.levels(images.flip(3))[-1])  # (N, widths[2])
        return self._scaled(parts), (self.classes(parts[0]) + self.classes(mirrored)) / 2

    @torch.no_grad()
    def fit_scales(self, images: Tensor, batch_size: int = 500) -> None:
        """Scale each part of the features to a total variance of 1 over uint8 images (N, 3, H, W)."""
        batches = [self._parts(batch) for batch in images.split(batch_size)]
        variances = [torch.cat(part).double().var(0).sum() for part in zip(*batches, strict=True)]
        self.scales.copy_(torch.stack(variances).rsqrt())

    def _scaled(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat([scale * part for scale, part in zip(self.scales, parts, strict=True)], dim=1)

    def _parts(self, images: Tensor) -> list[Tensor]:
        """Return the parts of the features, (N, C) each and unscaled; the first is the input of the heads."""
        first, second, last = self.levels(images)
        spreads = [level.flatten(2).std(2, correction=0) for level in (first, second)]  # (N, widths[i]) each
        return [self.pool(last), *spreads]  # (N, widths[2]), (N, widths[0]), (N, widths[1])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of the classes (N, 10) and the estimated errors of the colors (N, 3).

        The errors are the mean differences in a* and in b* and the mean distance, in tens of CIELAB units.
        """
        pooled = self.pool(self.levels(images)[-1])  # (N, widths[-1])
        return self.classes(pooled), self.color_error(pooled)


def evaluator_card(name: str, folder: Path = _WEIGHTS) -> dict[str, Any]:
    """Read the card of an evaluator: sha256 of its weights, widths, accuracy, training data, command."""
    return json.loads((folder / f"cifar10-{name}.json").read_text(encoding="utf-8"))


def load_evaluator(name: str, folder: Path = _WEIGHTS) -> Cifar10Classifier:
    """Load an evaluator, a shipped one unless a folder is given, frozen and in evaluation mode.

    Raises ValueError if its weights are not those that its card describes.
    """
    card = evaluator_card(name, folder)
    path = folder / f"cifar10-{name}.safetensors"
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise ValueError(f"{path} is not the file that {path.stem}.json describes: install colornet again.")
    network = Cifar10Classifier(card["config"]["widths"])
    network.load_state_dict(load(content))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
