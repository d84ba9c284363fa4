"""Upsample color along the edges of a lightness of higher resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Pixels of the small image on each side of a window: wider ones mix objects.
_RADIUS = 1
# Variance of L* / 100 at which half of the slope remains: edges of 3 L* units and more are followed. Values from 3e-4
# to 3e-3 restore true a*b* equally well.
_EPSILON = 1e-3


class GuidedUpsampler:
    """Upsample a*b* (N, 2, h, w) to (N, 2, H, W), guided by L*, tile by tile: memory holds the small image only.

    Within windows of the small image, a*b* is regressed linearly on L*; the upsampled slope converts the detail of the
    full L* to color: q = up(p) + up(slope) (I - up(I_small)). That is the guided filter (He, Sun & Tang 2013, "Guided
    image filtering") with coefficients of low resolution (He & Sun 2015, "Fast guided filter"), plus the part of p that
    the filter smooths away: the filter alone restores true colors worse than bilinear upsampling. The result is clamped
    to the range of the colors around it, so that bright spots do not extrapolate. If the sizes are equal, it is p to
    the last bit. `lightness`, in [0, 100], and `color` are those of the small image, `size` is (H, W) of the result.
    """

    def __init__(self, lightness: Tensor, color: Tensor, size: tuple[int, int]) -> None:
        self.size = size
        self.small_height = min(size[0], color.shape[-2])  # memory of a tile is this times its width, or its pixels
        self.unscaled = color if color.shape[-2:] == size else None
        if self.unscaled is not None:
            return
        guide = lightness / 100
        mean_guide, mean_color = _box(guide), _box(color)
        variance = _box(guide * guide) - mean_guide**2
        covariance = _box(guide * color) - mean_guide * mean_color  # (N, 2, h, w)
        slope = _box(covariance / (variance.clamp(min=0) + _EPSILON))  # (N, 2, h, w)
        window = 2 * _RADIUS + 1
        highest = F.max_pool2d(color, window, 1, _RADIUS)  # (N, 2, h, w)
        lowest = -F.max_pool2d(-color, window, 1, _RADIUS)  # (N, 2, h, w)
        self.maps = torch.cat((color, slope, lowest, highest, guide), dim=1)  # (N, 9, h, w)
        if size[0] == self.small_height:  # a thin strip
            self.maps = _stretch(self.maps, 2, range(size[0]), size[0])  # (N, 9, H, w)
        self._columns, self._wide = range(0), self.maps  # of the last tile: those below it take the same

    def tile(self, lightness: Tensor, top: int = 0, left: int = 0) -> Tensor:
        """Return the part of the result whose L* is given, (N, 1, R, C) to (N, 2, R, C), with its place in it.

        Tiles below each other are faster than those beside each other.
        """
        rows = range(top, top + lightness.shape[-2])
        columns = range(left, left + lightness.shape[-1])
        if self.unscaled is not None:
            return self.unscaled[..., rows.start : rows.stop, columns.start : columns.stop]  # (N, 2, R, C)
        if columns != self._columns:
            self._columns, self._wide = columns, _stretch(self.maps, 3, columns, self.size[1])  # (N, 9, h, C)
        maps = _stretch(self._wide, 2, rows, self.size[0])  # (N, 9, R, C)
        color, slope, lowest, highest, guide = maps.split((2, 2, 2, 2, 1), dim=1)
        return (color + slope * (lightness / 100 - guide)).clamp(lowest, highest)


def _stretch(maps: Tensor, dim: int, part: range, size: int) -> Tensor:
    """Interpolate maps linearly to `size` along a dimension, and return that part of it.

    The centers of pixels are those of F.interpolate, which cannot compute a part.
    """
    small = maps.shape[dim]
    position = (torch.arange(part.start, part.stop, device=maps.device) + 0.5) * (small / size) - 0.5
    position = position.clamp(0, small - 1)
    before = position.long()
    after = (before + 1).clamp(max=small - 1)
    weight = (position - before).view([-1 if d == dim else 1 for d in range(maps.ndim)])
    return maps.index_select(dim, before) * (1 - weight) + maps.index_select(dim, after) * weight


def _box(maps: Tensor) -> Tensor:
    """Average over the windows around the pixels (N, C, h, w), cut off at the edges of the image."""
    return F.avg_pool2d(maps, 2 * _RADIUS + 1, 1, _RADIUS, count_include_pad=False)
