"""Histograms of the colors of images over the a*b* plane of CIELAB and over chroma, and a picture of them."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange, repeat
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from colornet.color import lab_to_rgb, rgb_to_lab, to_float, to_uint8

BIN = 2  # units of a*, b* and chroma that a bin holds
_REACH = 55  # bins of the plane on each side of the one of gray: -110 … 110 holds all of sRGB
_PLANE = 2 * _REACH + 1
_CHROMA = 67  # bins of chroma: blue, the most saturated color of sRGB, has 133.8
_SCALE = 3  # screen pixels of a bin in the picture


class ColorCounts:
    """Pixels by color, counted on a device as images pass: first those of outputs, then those of truths.

    `plane` (2, 111, 111) counts by b* and a*, in bins whose centers are -110, -108, …, 110; `chroma` (2, 67) from gray
    upward. Both are int64, so that sums over batches and processes are exact.
    """

    def __init__(self, device: torch.device) -> None:
        self.plane = torch.zeros(2, _PLANE, _PLANE, dtype=torch.int64, device=device)
        self.chroma = torch.zeros(2, _CHROMA, dtype=torch.int64, device=device)

    def add(self, output: Tensor, truth: Tensor) -> None:
        """Count the pixels of uint8 images (N, 3, H, W), as many of the one as of the other."""
        for side, images in enumerate((output, truth)):
            a, b = rgb_to_lab(to_float(images))[:, 1:].unbind(1)  # (N, H, W) each
            column, row = ((axis / BIN).round().long() + _REACH for axis in (a, b))
            rings = (a.hypot(b) / BIN).long().clamp(max=_CHROMA - 1).flatten()  # (N * H * W,)
            self.plane[side] += count_plane(column, row, _PLANE)
            self.chroma[side] += rings.bincount(minlength=_CHROMA)


def count_plane(column: Tensor, row: Tensor, bins: int) -> Tensor:
    """Count pixels by int64 columns (a*) and rows (b*), clamped to the outermost bins: int64 (bins, bins)."""
    cells = row.clamp(0, bins - 1) * bins + column.clamp(0, bins - 1)
    return cells.flatten().bincount(minlength=bins**2).view(bins, bins)


def draw_planes(planes: Tensor) -> Tensor:
    """Draw the planes of `ColorCounts` side by side, uint8 (3, height, width): a* to the right, b* upward.

    A bin that holds pixels has its own color, on a logarithmic scale of brightness. Lines mark multiples of 50.
    """
    planes = planes.cpu().double()
    axis = torch.arange(-_REACH, _REACH + 1) * float(BIN)
    b, a = torch.meshgrid(axis, axis, indexing="ij")  # (111, 111) each
    colors = lab_to_rgb(torch.stack((torch.full_like(a, 75.0), a, b)))  # (3, 111, 111)
    share = planes.log1p() / planes.sum((1, 2), keepdim=True).log1p()  # (2, 111, 111) in [0, 1]
    brightness = torch.where(planes > 0, 0.35 + 0.65 * share, 0)
    lines = torch.where((planes == 0) & ((a % 50 == 0) | (b % 50 == 0)), 0.15, 0)
    panels = colors * rearrange(brightness, "side b a -> side 1 b a") + rearrange(lines, "side b a -> side 1 b a")
    pixels = repeat(panels.flip(2), "side c b a -> (b y) (side a x) c", y=_SCALE, x=_SCALE)  # (height, width, 3)
    picture = Image.fromarray(to_uint8(pixels).numpy())
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=24)  # TensorBoard shows it at half its size
    size = picture.height
    for left, title in ((0, "output"), (size, "truth")):
        pen.line((left, 0, left, size), fill="white")
        pen.text((left + 6, 2), title, fill="white", font=font)
        pen.text((left + size - 6, size // 2), "a*", fill="white", font=font, anchor="rd")
        pen.text((left + size // 2 + 6, 2), "b*", fill="white", font=font)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)  # (3, height, width)
