"""Augmentation of the images that an evaluator is trained on: wrong colors, slight degradation, cutout."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from colornet.color import lab_to_rgb, rgb_to_lab, to_float, to_uint8

DEGRADED = 0.25  # share of the images that are degraded
ERROR_UNIT = 10.0  # of the errors of color that the network learns, in units of CIELAB


def wrong_colors(images: Tensor, others: Tensor, rng: np.random.Generator) -> Tensor:
    """Keep the L* of uint8 images (N, 3, H, W) and make their a*b* wrong, in one of four ways drawn for each image.

    The a*b* of one of the `others`; hues rotated by 60° to 300°; chroma × 0 (for a quarter) to 0.6, or × 1.5 to 2.5.
    """
    count = len(images)
    lab = rgb_to_lab(to_float(images))  # (N, 3, H, W)
    kind = rng.integers(4, size=count)
    angle = np.where(kind == 1, rng.uniform(np.pi / 3, 5 * np.pi / 3, count), 0)
    same = np.ones(count)
    gain = np.choose(kind, (same, same, rng.uniform(-0.2, 0.6, count).clip(0), rng.uniform(1.5, 2.5, count)))
    donors = others[torch.from_numpy(rng.integers(len(others), size=count)).to(images.device)]
    swap = torch.from_numpy(kind == 0).to(images.device)[:, None, None, None]
    ab = torch.where(swap, rgb_to_lab(to_float(donors))[:, 1:], lab[:, 1:])  # (N, 2, H, W)
    return to_uint8(lab_to_rgb(torch.cat((lab[:, :1], adjust_chroma(ab, gain, angle)), dim=1)))


def degrade(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Degrade a quarter of uint8 images (N, 3, H, W) invisibly at their size: half the chroma resolution, noise.

    A third each keep their chroma or have it reduced and upsampled by nearest neighbor or bilinearly; the noise of RGB
    has a standard deviation of 0 to 2 levels. Without this, such traces outweigh the colors themselves.
    """
    chosen = torch.from_numpy(rng.random(len(images)) < DEGRADED).to(images.device)
    lab = rgb_to_lab(to_float(images[chosen]))  # (n, 3, H, W)
    half = F.interpolate(lab[:, 1:], scale_factor=0.5, mode="area")  # (n, 2, H / 2, W / 2)
    upsampled = [F.interpolate(half, images.shape[-2:], mode=mode) for mode in ("nearest", "bilinear")]
    versions = torch.stack((lab[:, 1:], *upsampled))  # (3, n, 2, H, W)
    which = torch.from_numpy(rng.integers(3, size=len(lab))).to(images.device)
    ab = versions[which, torch.arange(len(lab), device=images.device)]  # (n, 2, H, W)
    levels = rng.uniform(0, 2, (len(lab), 1, 1, 1)) * rng.standard_normal(tuple(lab.shape))
    noise = torch.from_numpy(levels.astype(np.float32)).to(images.device) / 255
    degraded = images.clone()
    degraded[chosen] = to_uint8(lab_to_rgb(torch.cat((lab[:, :1], ab), dim=1)) + noise)
    return degraded


def color_error(altered: Tensor, images: Tensor) -> Tensor:
    """Return how far uint8 images are from the true ones, both (N, 3, H, W), in color: (N, 3), in `ERROR_UNIT`s.

    The mean differences in a* and in b* and the mean distance in the a*b* plane, all over the pixels. Unlike a binary
    label, it grows with the error, and so do distances on the features of a network that learns it.
    """
    differences = (rgb_to_lab(to_float(altered)) - rgb_to_lab(to_float(images)))[:, 1:]  # (N, 2, H, W)
    distance = differences.square().sum(1, keepdim=True).sqrt()  # (N, 1, H, W)
    return torch.cat((differences, distance), dim=1).mean((2, 3)) / ERROR_UNIT


def cut_out(images: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """Gray out a square at a random place, which may reach over the edge, of each of uint8 images (N, 3, H, W).

    Source: DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with cutout".
    """
    rows, columns = (
        torch.from_numpy(np.arange(length) - rng.integers(1 - side, length, (len(images), 1))).to(images.device)
        for length in images.shape[-2:]
    )  # (N, H), (N, W): distance from the square's first row and column
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]  # (N, H, W)
    return images.masked_fill(inside[:, None], 128)


def adjust_chroma(ab: Tensor, gain: np.ndarray, angle: np.ndarray) -> Tensor:
    """Multiply the chroma of a*b* (N, 2, H, W) by `gain` and turn its hue by `angle` (radians), (N,) each."""
    turn = np.stack((gain * np.cos(angle), gain * np.sin(angle)))  # (2, N)
    cos, sin = torch.from_numpy(turn).to(ab)[:, :, None, None]  # (N, 1, 1) each
    a, b = ab.unbind(1)  # (N, H, W)
    return torch.stack((cos * a - sin * b, sin * a + cos * b), dim=1)
