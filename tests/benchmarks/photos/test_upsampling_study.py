"""Upsampling is that of `colornet colorize`, and is measured against colors that are known."""

from __future__ import annotations

import torch
from torchvision.transforms.functional import pil_to_tensor

from benchmarks.photos.upsampling_study import find_edges, join, measure_upsampling, photo, predict, reduce, upsample
from colornet.color import rgb_to_lab
from colornet.inference.colorizer import Colorizer
from tests.benchmarks.photos.photographs import small_photo


def test_guided_upsampling_is_that_of_colorize() -> None:
    image = small_photo()
    colorizer = Colorizer.load("cgan", "cpu")
    rgb = photo(image, None)
    small, lightness = reduce(rgb, 32, colorizer.multiple), rgb_to_lab(rgb)[:, :1]
    color = upsample("guided", predict(colorizer, small), rgb_to_lab(small)[:, :1], lightness)
    expected = pil_to_tensor(colorizer.colorize(image))
    assert (join(lightness, color)[0].int() - expected.int()).abs().max() <= 1
    assert rgb_to_lab(expected / 255)[1:].abs().mean() > 2  # it is colored at all


def test_true_colors_come_back_the_better_the_less_they_were_reduced() -> None:
    found = measure_upsampling(photo(small_photo(), None), (16, 48, 96), {})
    assert list(found)[:2] == ["gray", "true colors at 16 px, guided"]
    assert len(found) == 7  # 96 pixels are no reduction
    for method in ("guided", "bilinear", "bicubic"):
        coarse, fine = (found[f"true colors at {scale} px, {method}"] for scale in (16, 48))
        for key in ("ciede2000", "edges", "gray_edges"):
            assert 0 < fine[key] < coarse[key]
        assert coarse["ciede2000"] < found["gray"]["ciede2000"] / 3
    assert found["gray"]["cf"] < 0.5


def test_edges_of_color_and_of_lightness_are_told_apart() -> None:
    lab = torch.full((1, 3, 20, 40), 50.0)
    lab[:, 1:, :, :10] = 0.0
    lab[:, 1:, :, 10:20] = 30.0  # a*b* steps at column 10, and back at 20
    lab[:, 1:, :, 20:] = 0.0
    lab[:, :1, :, 30:] = 80.0  # L* at column 30
    of_color, of_light = find_edges(lab)
    assert of_color[0].any(0).nonzero().flatten().tolist() == [9, 10, 19, 20]
    assert {29, 30} <= set(of_light[0].any(0).nonzero().flatten().tolist())
    assert not (of_color & of_light).any()
