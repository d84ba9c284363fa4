"""The rule that finds near-duplicates."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from benchmarks.quality.near_duplicates import near_duplicates
from colornet.color import to_float, to_gray, to_uint8
from tests.images import photos


def test_a_photograph_is_found_mirrored_darker_gray_or_noisy_but_not_another() -> None:
    images = photos()[:8]
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    versions = {
        "mirrored": images.flip(3),
        "darker": to_uint8(to_float(images) * 0.8 + 0.05),
        "gray": to_uint8(to_gray(to_float(images))),
        "noisy": to_uint8(to_float(images) + noise / 100),
    }
    for name, training in versions.items():
        assert near_duplicates(images, training).all(), name
    # The last eight photographs are cut from other pictures than the first.
    assert not near_duplicates(images, photos()[-8:]).any()


def test_each_image_is_judged_by_itself() -> None:
    images = photos()
    found = near_duplicates(images, torch.cat((images[3:5], images[10:11].flip(3))))
    assert found[[3, 4, 10]].all()
    torch.testing.assert_close(found, torch.cat([near_duplicates(i, torch.cat((images[3:5], images[10:11].flip(3))))
                                                 for i in images.split(7)]))  # fmt: skip


def test_a_common_horizon_is_no_likeness() -> None:
    sky_and_sea = torch.where(torch.arange(32) < 16, 200.0, 100.0)[:, None].expand(32, 32)
    textures = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 15
    images = sky_and_sea + F.interpolate(textures, size=(32, 32))
    first, second = images.expand(-1, 3, -1, -1).clamp(0, 255).to(torch.uint8).split(1)
    correlation = torch.corrcoef(torch.stack((first[0, 0].flatten(), second[0, 0].flatten())).double())[0, 1]
    assert correlation > 0.85
    assert not near_duplicates(first, second).any()


def test_small_images_are_compared_too() -> None:
    images = F.avg_pool2d(photos()[:4].float(), 8).to(torch.uint8)  # (4, 3, 4, 4)
    assert near_duplicates(images, images).all()
