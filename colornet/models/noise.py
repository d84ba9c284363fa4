"""Normal noise that follows from gray images: without a state, the same in any batch and on any device."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SQUARES = (1, 2, 4, 8, 16)  # sides of the squares of equal noise, in pixels
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # SplitMix64's increment, as a signed number


@torch.no_grad()
def fixed_noise(gray: Tensor, channels: int, sample: int = 0) -> Tensor:
    """Return standard normal noise (N, channels) that follows from each gray image (N, 1, H, W) and the sample number.

    The same image gets the same noise in any batch, on any number of processes and in any program, and different images
    get independent noise: the upper 53 bits of a multilinear hash of the gray levels at 8 bits make a uniform number.
    `gray` spans a range of 1 or 2, as the conditions of the color spaces do.
    """
    levels = (gray.float() * 255).round().long().flatten(1)  # (N, H · W)
    random = torch.Generator().manual_seed(sample)
    keys = torch.randint(-(2**62), 2**62, (channels, levels.shape[1]), generator=random).to(gray.device)
    hashes = torch.stack([(levels * key).sum(1) for key in keys], dim=1)  # (N, channels), modulo 2 ** 64
    return _normal(hashes).to(gray.dtype)


@torch.no_grad()
def octave_noise(seeds: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Return normal noise (N, channels, height, width) of variance 1, in squares of 1, 2, 4, 8 and 16 pixels.

    Each size has an equal part. What gray does not tell of colors is mostly common to an object, as is such noise.
    """
    shapes = [(channels, -(-height // side), -(-width // side)) for side in _SQUARES]
    drawn = white_noise(seeds, sum(map(math.prod, shapes))).split([math.prod(shape) for shape in shapes], dim=1)
    total = seeds.new_zeros(())
    for noise, shape, side in zip(drawn, shapes, _SQUARES, strict=True):
        large = noise.view(-1, *shape).repeat_interleave(side, 2).repeat_interleave(side, 3)
        total = total + large[..., :height, :width]
    return total / math.sqrt(len(_SQUARES))


def white_noise(seeds: Tensor, count: int) -> Tensor:
    """Return standard normal noise (N, count), float32, that follows from the float32 bits of `seeds` (N, C).

    Counters are hashed by SplitMix64 (Steele et al. 2014), beginning at a hash of the seeds: the noise of an image is
    the same in any batch, on any device and in any program, and takes no state.
    """
    bits = seeds.float().contiguous().view(torch.int32).long()  # (N, C)
    start = _mix(bits[:, 0])
    for place in range(1, bits.shape[1]):
        start = _mix(start + _GOLDEN + bits[:, place])
    counters = torch.arange(1, count + 1, device=seeds.device) * _GOLDEN
    hashes = _mix(start[:, None] + counters)  # (N, count)
    return _normal(hashes).float()


def _mix(x: Tensor) -> Tensor:
    """Scramble 64-bit integers: the finalizer of SplitMix64. Shifts of signed numbers keep the sign: it is masked."""
    x = (x ^ ((x >> 30) & (2**34 - 1))) * (0xBF58476D1CE4E5B9 - 2**64)
    x = (x ^ ((x >> 27) & (2**37 - 1))) * (0x94D049BB133111EB - 2**64)
    return x ^ ((x >> 31) & (2**33 - 1))


def _normal(hashes: Tensor) -> Tensor:
    """Map 64-bit integers to normal numbers within ±6, float64: their upper 53 bits are a uniform number."""
    uniform = (((hashes >> 11) & (2**53 - 1)).double() + 0.5) / 2**53
    return (math.sqrt(2) * torch.erfinv(2 * uniform - 1)).clamp(-6, 6)
