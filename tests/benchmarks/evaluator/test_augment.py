"""What is done to the images of an evaluator's training, against colors that are known."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.evaluator.augment import ERROR_UNIT, adjust_chroma, color_error, cut_out, degrade, wrong_colors
from colornet.color import lab_to_rgb, rgb_to_lab, to_float, to_uint8
from tests.colornet.metrics.test_image import photos


def test_chroma_is_multiplied_and_turned_by_hand() -> None:
    ab = torch.tensor([[3.0, -5], [3, -5], [3, -5], [3, -5]])[:, :, None, None].expand(4, 2, 2, 3)
    gain, angle = np.array((1.0, 2, 1, 0)), np.array((math.pi / 2, 0, math.pi, 1))
    expected = torch.tensor([[5.0, 3], [6, -10], [-3, 5], [0, 0]])[:, :, None, None].expand(4, 2, 2, 3)
    torch.testing.assert_close(adjust_chroma(ab, gain, angle), expected, rtol=0, atol=1e-5)


def pale(count: int, a: float, b: float, seed: int = 0) -> Tensor:
    """Images of varied lightness and one pale color, which is in gamut however it is turned or multiplied by 2.5."""
    light = 45 + 20 * torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    ab = torch.tensor((a, b))[None, :, None, None].expand(count, 2, 8, 8)
    return to_uint8(lab_to_rgb(torch.cat((light, ab), dim=1)))


def test_wrong_colors_keep_the_lightness_and_are_wrong_in_four_ways() -> None:
    images, others = pale(200, 10, 0), pale(50, -2, 5, seed=1)
    altered = wrong_colors(images, others, np.random.default_rng(0))
    assert (altered.dtype, altered.shape) == (torch.uint8, images.shape)
    before, after = rgb_to_lab(to_float(images)), rgb_to_lab(to_float(altered))
    assert (after[:, 0] - before[:, 0]).abs().max() <= 1
    a, b = after[:, 1:].mean((2, 3)).T  # (200,) each; (10, 0) before
    chroma, turn = a.hypot(b) / 10, torch.atan2(b, a).rad2deg()
    ways = {
        "another's": ((a + 2).abs() < 0.3) & ((b - 5).abs() < 0.3),
        "turned": ((chroma - 1).abs() < 0.05) & (turn.abs() > 58),
        "less": (chroma < 0.65) & ((turn.abs() < 10) | (chroma < 0.1)),
        "more": (chroma > 1.45) & (chroma < 2.55) & (turn.abs() < 3),
    }
    counts = {name: int(found.sum()) for name, found in ways.items()}
    assert sum(counts.values()) == 200, counts
    assert min(counts.values()) >= 30, counts
    assert torch.equal(altered, wrong_colors(images, others, np.random.default_rng(0)))
    assert not torch.equal(altered, wrong_colors(images, others, np.random.default_rng(1)))


def test_the_error_of_colors_is_that_of_their_mean_and_of_their_places() -> None:
    light = torch.full((2, 1, 8, 8), 60.0)
    truth = torch.cat((light, torch.tensor((6.0, -3))[:, None, None].expand(2, 2, 8, 8)), dim=1)
    altered = truth.clone()
    altered[0, 1:] += torch.tensor((3.0, 4))[:, None, None]  # everywhere: by 5
    altered[1, 1, :, :4] += 8  # half to one side, half to the other: none on average, by 8 in every place
    altered[1, 1, :, 4:] -= 8
    error = color_error(to_uint8(lab_to_rgb(altered)), to_uint8(lab_to_rgb(truth))) * ERROR_UNIT
    torch.testing.assert_close(error, torch.tensor([[3.0, 4, 5], [0, 0, 8]]), rtol=0, atol=0.4)
    assert (color_error(photos(), photos()) == 0).all()


def test_a_square_of_each_image_is_cut_out() -> None:
    images = torch.full((300, 3, 32, 32), 7, dtype=torch.uint8)
    cut = cut_out(images, 8, np.random.default_rng(0)) == 128  # (300, 3, 32, 32)
    assert torch.equal(cut[:, 0], cut[:, 2])
    areas = cut[:, 0].sum((1, 2))
    assert areas.min() >= 1
    assert areas.max() == 64
    rows, columns = cut[:, 0].any(2), cut[:, 0].any(1)  # (300, 32)
    assert torch.equal(areas, rows.sum(1) * columns.sum(1))  # rectangles
    assert cut[:, 0].any(0).all()  # anywhere, the corners too
    assert torch.equal(cut_out(images, 0, np.random.default_rng(0)), images)


def test_a_quarter_of_the_images_is_degraded_invisibly() -> None:
    images = photos().repeat(20, 1, 1, 1)  # (800, 3, 32, 32)
    degraded = degrade(images, np.random.default_rng(0))
    assert (degraded.dtype, degraded.shape) == (torch.uint8, images.shape)
    changed = (degraded != images).flatten(1).any(1)
    assert 0.2 < changed.double().mean() < 0.3
    before, after = rgb_to_lab(to_float(images)), rgb_to_lab(to_float(degraded))
    assert (after - before)[changed].abs().mean((0, 2, 3)).max() < 2.5
    # Averaged over four pixels, colors stay what they were.
    blocks = F.avg_pool2d((after - before)[changed], 4).abs().mean((0, 2, 3))
    assert blocks.max() < 1
    assert torch.equal(degraded, degrade(images, np.random.default_rng(0)))
