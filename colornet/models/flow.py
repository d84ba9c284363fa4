"""The generator of flow matching: a mean coloring, and a velocity that carries noise around it to the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colornet.color import at_least_float32
from colornet.models.noise import fixed_noise, octave_noise
from colornet.models.unet import UNet

SCALE = 8.0  # from a*b* / 110 to about unit variance, that of photographs

_TIMES = 8  # numbers that tell the velocity the time


class FlowPair(NamedTuple):
    """What a flow learns from, at a time drawn for each image; colors are in units of 110 / `SCALE`."""

    mean: Tensor  # the mean coloring, (N, 2, H, W)
    color: Tensor  # the truth, of the same shape
    velocity: Tensor  # as predicted, (N, 2, H / 2, W / 2)
    target: Tensor  # the way from the start of the flow to the truth, of the same shape


class FlowUNet(nn.Module):
    """A U-Net that predicts the mean of the color, and one that integrates a flow from there to a sample of it.

    Liu et al. 2022, Lipman et al. 2022: a flow goes from x₀ to the true color x₁ along straight lines,
    xₜ = (1 − t) x₀ + t x₁, and its velocity at xₜ is the conditional expectation of x₁ − x₀. It starts at the mean plus
    `spread` · noise, as in posterior-mean rectified flow (Ohayon et al. 2024), or at noise alone. It sees color at half
    the resolution, as most JPEG files hold it; what is finer is that of the mean.

    Args:
        width, multipliers, blocks, attention, norm, activation_checkpointing: of the mean's `UNet`. The velocity's has
            no first level, as its images have half the size.
        noise_channels: how many numbers the noise of an image is drawn from.
        from_mean: whether the flow starts at the mean, or at noise of variance 1.
        spread: standard deviation of the noise around the mean, in units of that of a*b*.
        steps: of the integration by Heun's method, with two evaluations of the velocity each.

    Maps (N, 1, H, W) to (N, 2, H, W), as `UNet` does. `noise` is (N, noise_channels), or what `noise` returns.
    """

    def __init__(
        self,
        *,
        multipliers: Sequence[int] = (1, 2, 4),
        noise_channels: int = 2,
        from_mean: bool = True,
        spread: float = 0.8,
        steps: int = 4,
        **options: Any,
    ) -> None:
        super().__init__()
        self.noise_channels = noise_channels
        self.from_mean = from_mean
        self.spread = spread if from_mean else 1.0
        self.steps = steps
        self.mean = UNet(1, 2, multipliers=multipliers, **options)
        # It sees four pixels of gray, the mean's color, that of the flow, and the time.
        self.velocity = UNet(8, 2, multipliers=multipliers[1:], noise_channels=_TIMES, **options)

    def noise(self, gray: Tensor, sample: int = 0) -> Tensor:
        """Return the noise (N, 2, H / 2, W / 2) of each image's coloring of that number."""
        return self.spatial(fixed_noise(gray, self.noise_channels, sample), gray)

    def spatial(self, seeds: Tensor, gray: Tensor) -> Tensor:
        """Return the noise (N, 2, H / 2, W / 2) that follows from seeds (N, noise_channels)."""
        return octave_noise(seeds, 2, gray.shape[-2] // 2, gray.shape[-1] // 2)

    def forward(self, gray: Tensor, noise: Tensor | None = None, color: Tensor | None = None) -> Tensor | FlowPair:
        """Return a coloring; in training, where `color` (N, 2, H, W) is the truth, what is to be learned from it."""
        mean = at_least_float32(self.mean(gray))  # of unit variance, as all that follows
        low = F.avg_pool2d(mean.detach(), 2)  # (N, 2, H / 2, W / 2)
        condition = torch.cat((F.pixel_unshuffle(gray, 2), low), 1)  # (N, 6, H / 2, W / 2)
        if noise is None:
            noise = self.noise(gray)
        seeds, noise = noise, self.spatial(noise, gray) if noise.ndim == 2 else noise
        now = self.spread * noise + (low if self.from_mean else 0)
        if color is not None:
            # A normal number's rank is uniform, and a hash of the same number is independent of it.
            time, truth = torch.special.ndtr(at_least_float32(seeds[:, 0])), SCALE * color
            target = F.avg_pool2d(truth, 2) - now
            return FlowPair(mean, truth, self.at(condition, now + time[:, None, None, None] * target, time), target)
        time, step = gray.new_zeros(gray.shape[:1]), 1 / self.steps
        for _ in range(self.steps):
            first = self.at(condition, now, time)
            time = time + step
            now = now + step / 2 * (first + self.at(condition, now + step * first, time))
        return (mean + F.interpolate(now - low, scale_factor=2, mode="bilinear")) / SCALE

    def at(self, condition: Tensor, color: Tensor, time: Tensor) -> Tensor:
        """Return the velocity (N, 2, h, w) of colors (N, 2, h, w) at times (N,) in [0, 1]."""
        phases = math.pi * at_least_float32(time)[:, None] * torch.arange(1, _TIMES // 2 + 1, device=time.device)
        code = torch.cat((phases.sin(), phases.cos()), 1)  # (N, _TIMES)
        return at_least_float32(self.velocity(torch.cat((condition, color), 1), code))
