"""How colors of low resolution become those of a photograph, measured against the photograph's own."""

from __future__ import annotations

from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor

from colornet.color import gamut_map_to_rgb, rgb_to_lab, to_float, to_uint8
from colornet.inference.colorizer import Colorizer
from colornet.inference.upsampling import GuidedUpsampler
from colornet.metrics.image import ciede2000, colorfulness

Method = Literal["guided", "bilinear", "bicubic"]

METHODS: tuple[Method, ...] = ("guided", "bilinear", "bicubic")
_STEEPEST = 0.1  # share of the pixels, those of the steepest changes, that count as edges


def photo(image: Image.Image, shorter_side: int | None) -> Tensor:
    """Return a Pillow RGB image as sRGB (1, 3, H, W) in [0, 1], reduced to a shorter side unless that is None."""
    if shorter_side is not None:
        scale = shorter_side / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return to_float(pil_to_tensor(image)[None])


def reduce(rgb: Tensor, shorter_side: int, multiple: int) -> Tensor:
    """Reduce sRGB (1, C, H, W) to a shorter side, both sides multiples of a number, as `Colorizer` does."""
    scale = shorter_side / min(rgb.shape[-2:])
    size = [max(shorter_side, round(side * scale / multiple) * multiple) for side in rgb.shape[-2:]]
    if size == [*rgb.shape[-2:]]:
        return rgb
    return F.interpolate(rgb, size, mode="bicubic", antialias=True).clamp(0, 1)  # (1, C, h, w)


@torch.no_grad()
def predict(colorizer: Colorizer, small: Tensor) -> Tensor:
    """Return the a*b* (1, 2, h, w) that a model which colors L* predicts for sRGB (1, 3, h, w) in [0, 1]."""
    condition, _ = colorizer.space.encode(small.to(colorizer.device))
    return colorizer.network(condition).cpu() * 110


def upsample(method: Method, color: Tensor, small_lightness: Tensor, lightness: Tensor) -> Tensor:
    """Upsample a*b* (1, 2, h, w), whose L* is (1, 1, h, w), to the size of a photograph's L*: (1, 2, H, W)."""
    size = (lightness.shape[-2], lightness.shape[-1])
    if method == "guided":
        return GuidedUpsampler(small_lightness, color, size).tile(lightness)
    return F.interpolate(color, size, mode=method)


def join(lightness: Tensor, color: Tensor) -> Tensor:
    """Join L* (1, 1, H, W) and a*b* (1, 2, H, W) as `colornet colorize` does: uint8 sRGB (1, 3, H, W)."""
    return to_uint8(gamut_map_to_rgb(torch.cat((lightness, color), dim=1)))


def measure_upsampling(
    rgb: Tensor, scales: tuple[int, ...], colorizers: dict[str, Colorizer]
) -> dict[str, dict[str, float]]:
    """Measure every method of upsampling colors on a photograph, sRGB (1, 3, H, W) in [0, 1].

    Returns, by name of the row, `ciede2000` of the image as saved, `cf`, and the mean distance of a*b* from the true
    ones where these change most (`edges`) and where L* does but they do not (`gray_edges`). A row is "SOURCE, METHOD"
    whose source is a model or "true colors at S px"; the row "gray" has no colors at all. Scales that are not smaller
    than the photograph are left out.
    """
    lab = rgb_to_lab(rgb)
    lightness, truth = lab.split((1, 2), dim=1)
    sources = {}  # L* and a*b* of low resolution
    for scale in scales:
        if scale < min(rgb.shape[-2:]):
            small = rgb_to_lab(reduce(rgb, scale, 1))
            sources[f"true colors at {scale} px"] = small[:, :1], small[:, 1:]
    for name, colorizer in colorizers.items():
        small = reduce(rgb, colorizer.image_size, colorizer.multiple)
        sources[name] = rgb_to_lab(small)[:, :1], predict(colorizer, small)
    colorings = {"gray": torch.zeros_like(truth)}
    for name, (small_lightness, color) in sources.items():
        for method in METHODS:
            colorings[f"{name}, {method}"] = upsample(method, color, small_lightness, lightness)

    edges, gray_edges = find_edges(lab)
    found = {}
    for name, color in colorings.items():
        saved = join(lightness, color)
        off = (color - truth).norm(dim=1)  # (1, H, W)
        found[name] = {
            "ciede2000": ciede2000(rgb_to_lab(to_float(saved)), lab).mean().item(),
            "edges": off[edges].mean().item(),
            "gray_edges": off[gray_edges].mean().item(),
            "cf": colorfulness(saved).item(),
        }
    return found


def find_edges(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Find where CIELAB (1, 3, H, W) has edges of color, and edges of lightness alone: two masks (1, H, W).

    The first are the tenth of the pixels with the steepest a*b*, the second those with the steepest L* outside of the
    steepest third of a*b*.
    """
    padded = F.pad(lab, (1, 1, 1, 1), mode="replicate")
    along_x = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]  # central differences, (1, 3, H, W)
    along_y = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    squares = (along_x.square() + along_y.square()).split((1, 2), dim=1)
    light, color = (part.sum(1).sqrt() for part in squares)  # (1, H, W) each
    of_color = color >= color.quantile(1 - _STEEPEST)
    of_lightness = (light >= light.quantile(1 - _STEEPEST)) & (color <= color.quantile(2 / 3))
    return of_color, of_lightness & ~of_color
