"""Statistics of colors in CIELAB, and histograms of them.

Chroma C* is the distance from gray in the a*b* plane, hue the angle in it: 0° pink, 90° yellow, 180° green, 270° blue.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from colornet.color import rgb_to_lab, to_float
from colornet.metrics.histograms import count_plane
from colornet.metrics.image import COLORED

AB_BINS = 64  # from -110 to 110
HUE_BINS = 36  # of 10°

_BATCH = 500


def color_scores(output: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Describe the colors of uint8 images (N, 3, H, W) beside those of the true ones: name to float64 values (N,).

    `mean_a`, `mean_b` and `chroma` are means over the pixels, `chroma_truth` is that of the true image. `hue_error` is
    the mean angle between the hues of output and truth, 0 to 180 degrees, each pixel weighed by the geometric mean of
    its two chromas, as CIELAB's ΔH* does; 0 where no pixel has both.
    """
    a, b = rgb_to_lab(output.double() / 255)[:, 1:].flatten(2).unbind(1)  # (N, H * W) each
    true_a, true_b = rgb_to_lab(truth.double() / 255)[:, 1:].flatten(2).unbind(1)
    chroma, true_chroma = a.hypot(b), true_a.hypot(true_b)
    hue, true_hue = torch.atan2(b, a).rad2deg(), torch.atan2(true_b, true_a).rad2deg()
    angle = 180 - (180 - (hue - true_hue).abs()).abs()  # along the shorter arc
    weight = (chroma * true_chroma).sqrt()
    return {
        "mean_a": a.mean(1),
        "mean_b": b.mean(1),
        "chroma": chroma.mean(1),
        "chroma_truth": true_chroma.mean(1),
        "hue_error": (weight * angle).sum(1) / weight.sum(1).clamp(min=1e-9),
    }


def color_histograms(images: Tensor) -> tuple[Tensor, Tensor]:
    """Count the pixels of uint8 images (N, 3, H, W) by their colors, int64.

    Returns the counts in the a*b* plane (64, 64), rows b*, columns a*, from -110 to 110, and the counts by hue (36,) of
    those with C* > `COLORED`, from 0° in steps of 10°.
    """
    plane = torch.zeros(AB_BINS, AB_BINS, dtype=torch.int64)
    hues = torch.zeros(HUE_BINS, dtype=torch.int64)
    for batch in images.split(_BATCH):
        a, b = rgb_to_lab(to_float(batch))[:, 1:].movedim(1, 0).flatten(1)  # (n * H * W,) each
        column, row = (((axis + 110) / 220 * AB_BINS).long() for axis in (a, b))
        plane += count_plane(column, row, AB_BINS)
        turns = torch.atan2(b, a)[a.hypot(b) > COLORED] / math.tau % 1
        hues += torch.bincount((turns * HUE_BINS).long().clamp(max=HUE_BINS - 1), minlength=HUE_BINS)
    return plane, hues
