"""The noise that a generator may see beside the gray image, where it is not drawn anew at every step of training."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["fixed_noise"]


@torch.no_grad()
def fixed_noise(gray: Tensor, channels: int, sample: int = 0) -> Tensor:
    """Return standard normal noise (N, channels) that follows from each gray image (N, 1, H, W) and the sample number.

    The same image gets the same noise in any batch and order, on any number of processes and in any program, and
    different images get independent noise: a multilinear hash of the gray levels at 8 bits, whose upper 53 bits are
    taken for a uniform number. `gray` spans a range of 1 or 2, as the conditions of the color spaces do.
    """
    levels = (gray.float() * 255).round().long().flatten(1)  # (N, H · W)
    random = torch.Generator().manual_seed(sample)
    keys = torch.randint(-(2**62), 2**62, (channels, levels.shape[1]), generator=random).to(gray.device)
    hashes = torch.stack([(levels * key).sum(1) for key in keys], dim=1)  # (N, channels), modulo 2 ** 64
    uniform = (((hashes >> 11) & (2**53 - 1)).double() + 0.5) / 2**53
    return (math.sqrt(2) * torch.erfinv(2 * uniform - 1)).clamp(-6, 6).to(gray.dtype)
