"""Degraded scans: gray images as age and poor scanners change them."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur, pil_to_tensor

from colornet.color import to_float, to_uint8

Defect = Callable[[Tensor], Tensor]
"""From gray images (N, 1, H, W), sRGB in [0, 1], to gray (N, 1, H, W) or toned ones (N, 3, H, W), not yet clipped."""

_PAPER = (1.0, 0.92, 0.75)  # sRGB of yellowed paper: of white
_INK = (0.24, 0.16, 0.10)  # of brown ink: of black


def degrade(gray: Tensor, defect: Defect) -> Tensor:
    """Degrade gray images (N, 1, H, W), sRGB in [0, 1], and save them at 8 bits: sRGB (N, 3, H, W) in [0, 1]."""
    return to_float(to_uint8(defect(gray))).expand(-1, 3, -1, -1)


def _fade(gray: Tensor) -> Tensor:
    return 0.3 + 0.45 * gray


def _noise(sigma: float) -> Defect:
    return lambda gray: gray + sigma / 255 * _normal(gray)


def _grain(gray: Tensor) -> Tensor:
    """Add clumps of some two pixels, strongest in the midtones, with a standard deviation of 20/255 there."""
    # White noise blurred with sigma s keeps 1 / (2 sqrt(pi) s) of it.
    clumps = gaussian_blur(_normal(gray), [5, 5], [0.8, 0.8]) * (2 * math.sqrt(math.pi) * 0.8)
    return gray + 20 / 255 * clumps * 2 * (gray * (1 - gray)).clamp(min=0).sqrt()


def _blur(sigma: float) -> Defect:
    side = 2 * math.ceil(3 * sigma) + 1
    return lambda gray: gaussian_blur(gray, [side, side], [sigma, sigma])


def _jpeg(quality: int) -> Defect:
    def compress(gray: Tensor) -> Tensor:
        scans = []
        for pixels in to_uint8(gray):  # (1, H, W) each
            file = io.BytesIO()
            Image.fromarray(pixels[0].numpy()).save(file, "JPEG", quality=quality)
            with Image.open(file) as image:
                scans.append(pil_to_tensor(image))  # (1, H, W)
        return to_float(torch.stack(scans))

    return compress


def _sepia(gray: Tensor) -> Tensor:
    ink, paper = (torch.tensor(color)[:, None, None] for color in (_INK, _PAPER))
    return ink + (paper - ink) * gray  # (N, 3, H, W)


def _old_print(gray: Tensor) -> Tensor:
    return _sepia(_jpeg(60)(_grain(_fade(gray))))


def _stretched(defect: Defect) -> Defect:
    """Stretch the levels of each image from its 1st to its 99th percentile, as any image editor can."""

    def stretch(gray: Tensor) -> Tensor:
        scan = degrade(gray, defect).mean(1, keepdim=True)  # (N, 1, H, W)
        low, high = scan.flatten(1).quantile(torch.tensor((0.01, 0.99)), dim=1)[:, :, None, None, None]  # (N, 1, 1, 1)
        return (scan - low) / (high - low).clamp(min=1 / 255)

    return stretch


def _normal(like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0))


DEFECTS: dict[str, tuple[str, Defect]] = {
    "clean": ("The gray image at 8 bits.", lambda gray: gray),
    "gamma 0.6": ("Too light: sRGB values to the power of 0.6.", lambda gray: gray**0.6),
    "gamma 0.8": ("A little too light: to the power of 0.8.", lambda gray: gray**0.8),
    "gamma 1.3": ("A little too dark: to the power of 1.3.", lambda gray: gray**1.3),
    "gamma 1.8": ("Too dark: to the power of 1.8.", lambda gray: gray**1.8),
    "faded": ("Low contrast: 0.3 + 0.45 g.", _fade),
    "faded, stretched": ("The same, levels stretched: 1st and 99th percentile to 0 and 1.", _stretched(_fade)),
    "S-curve": ("High contrast: g² (3 − 2 g).", lambda gray: gray * gray * (3 - 2 * gray)),
    "noise σ 5": ("Gaussian noise, standard deviation 5 of 255.", _noise(5)),
    "noise σ 10": ("Gaussian noise, standard deviation 10 of 255.", _noise(10)),
    "noise σ 25": ("Gaussian noise, standard deviation 25 of 255.", _noise(25)),
    "film grain": ("Noise blurred with σ 0.8 pixels, 20 of 255 in the midtones, less in light and shadow.", _grain),
    "blur σ 1": ("Gaussian blur, 1 pixel.", _blur(1)),
    "blur σ 2": ("Gaussian blur, 2 pixels.", _blur(2)),
    "JPEG 30": ("Saved as a gray JPEG of quality 30.", _jpeg(30)),
    "sepia": ("Given as RGB: brown ink (61, 41, 26) on yellowed paper (255, 235, 191).", _sepia),
    "old print": ("Faded, grain, JPEG of quality 60, sepia, one after the other.", _old_print),
    "old print, stretched": ("The same, levels stretched.", _stretched(_old_print)),
}
