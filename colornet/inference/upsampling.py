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
    """Upsample a*b* (N, 2, h, w) to (N, 2, H, W), guided by L*, as many rows at a time as fit into memory.

    Within windows of the small image, a*b* is regressed linearly on L*; the upsampled slope converts the detail of the
    full L* to color: q = up(p) + up(slope) (I - up(I_small)). That is the guided filter (He, Sun & Tang 2013, "Guided
    image filtering") with coefficients of low resolution (He & Sun 2015, "Fast guided filter"), plus the part of p that
    the filter smooths away: the filter alone restores true colors worse than bilinear upsampling. The result is clamped
    to the range of the colors around it, so that bright spots do not extrapolate. If the sizes are equal, it is p to
    the last bit. `lightness`, in [0, 100], and `color` are those of the small image, `size` is (H, W) of the result.
    """

    def __init__(self, lightness: Tensor, color: Tensor, size: tuple[int, int]) -> None:
        self.height = size[0]
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
        maps = torch.cat((color, slope, lowest, highest, guide), dim=1)  # (N, 9, h, w)
        self.maps = F.interpolate(maps, (maps.shape[-2], size[1]), mode="bilinear")  # (N, 9, h, W)

    def rows(self, first: int, lightness: Tensor) -> Tensor:
        """Return the rows of the result from `first` on, given their L*: (N, 1, R, W) to (N, 2, R, W)."""
        count = lightness.shape[-2]
        if self.unscaled is not None:
            return self.unscaled[..., first : first + count, :]  # (N, 2, R, W)
        small = self.maps.shape[-2]
        # Bilinear along the height, with the pixel centers of F.interpolate, which cannot compute single rows.
        position = (torch.arange(first, first + count, device=lightness.device) + 0.5) * (small / self.height) - 0.5
        position = position.clamp(0, small - 1)
        above = position.long()
        below = (above + 1).clamp(max=small - 1)
        weight = (position - above)[:, None]  # (R, 1)
        maps = self.maps[..., above, :] * (1 - weight) + self.maps[..., below, :] * weight  # (N, 9, R, W)
        color, slope, lowest, highest, guide = maps.split((2, 2, 2, 2, 1), dim=1)
        return (color + slope * (lightness / 100 - guide)).clamp(lowest, highest)


def _box(maps: Tensor) -> Tensor:
    """Average over the windows around the pixels (N, C, h, w), cut off at the edges of the image."""
    return F.avg_pool2d(maps, 2 * _RADIUS + 1, 1, _RADIUS, count_include_pad=False)
