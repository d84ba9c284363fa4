"""Enlarging color along the edges of lightness."""

from __future__ import annotations

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor

from colornet.color import rgb_to_lab, to_float
from colornet.inference.upsampling import GuidedUpsampler
from colornet.metrics.image import ciede2000


def upsampled(lightness: Tensor, color: Tensor, full: Tensor) -> Tensor:
    return GuidedUpsampler(lightness, color, (full.shape[-2], full.shape[-1])).tile(full)


def test_same_size_changes_nothing() -> None:
    color, lightness = torch.randn(2, 2, 12, 20) * 40, torch.rand(2, 1, 12, 20) * 100
    rounded_otherwise = lightness + 1e-4
    assert torch.equal(upsampled(lightness, color, rounded_otherwise), color)


@pytest.mark.parametrize("size", [(64, 96), (37, 51), (5, 3)])
def test_without_edges_it_is_bilinear(size: tuple[int, int]) -> None:
    color, flat = torch.randn(1, 2, 8, 12), torch.full((1, 1, 8, 12), 50.0)
    expected = F.interpolate(color, size, mode="bilinear")
    torch.testing.assert_close(upsampled(flat, color, torch.full((1, 1, *size), 50.0)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(50, 75), (8, 12)])
def test_it_can_be_had_in_tiles(size: tuple[int, int]) -> None:
    color, lightness, full = torch.randn(1, 2, 8, 12), torch.rand(1, 1, 8, 12) * 100, torch.rand(1, 1, *size) * 100
    upsampler, (height, width) = GuidedUpsampler(lightness, color, size), size
    columns = [
        torch.cat([upsampler.tile(full[..., y : y + 7, x : x + 5], y, x) for y in range(0, height, 7)], dim=-2)
        for x in range(0, width, 5)
    ]
    torch.testing.assert_close(torch.cat(columns, dim=-1), upsampler.tile(full))


def test_edge_stays_sharp_and_colors_within_their_range() -> None:
    full = torch.full((1, 1, 160, 160), 20.0)
    full[..., 94:] = 80  # bright at the right, from within a pixel of the small image on
    full[..., 40:42, 86:88] = 100  # a highlight and a shadow beyond the two sides, which the small image hardly shows
    full[..., 120:122, 104:106] = 0
    truth = torch.cat((full - 50, 50 - full), dim=1).clamp(-30, 30)
    small_lightness, small = (F.interpolate(x, (16, 16), mode="area") for x in (full, truth))
    result = upsampled(small_lightness, small, full)
    bilinear = F.interpolate(small, (160, 160), mode="bilinear")
    beside = (..., slice(80, 100))
    assert (result - truth)[beside].abs().mean() < 0.5 * (bilinear - truth)[beside].abs().mean()
    assert result.abs().max() <= small.abs().max() + 1e-4


# mypy: allow-untyped-calls
@pytest.mark.parametrize("name", ["coffee", "astronaut", "rocket"])
def test_true_colors_of_photographs_come_back_better_than_bilinearly(name: str) -> None:
    rgb = to_float(torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1)[None])
    height, width = rgb.shape[-2:]
    size = tuple(round(side * 32 / min(height, width) / 4) * 4 for side in (height, width))
    lab = rgb_to_lab(rgb)
    small = F.interpolate(lab[:, 1:], size, mode="bicubic", antialias=True)
    small_lightness = rgb_to_lab(F.interpolate(rgb, size, mode="bicubic", antialias=True).clamp(0, 1))[:, :1]
    guided = upsampled(small_lightness, small, lab[:, :1])
    bilinear = F.interpolate(small, (height, width), mode="bilinear")
    errors = [ciede2000(torch.cat((lab[:, :1], ab), dim=1), lab).mean() for ab in (guided, bilinear)]
    assert errors[0] < 0.95 * errors[1]
