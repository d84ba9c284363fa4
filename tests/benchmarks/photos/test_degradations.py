"""Degraded scans are images of 8 bits, degraded as much as their names say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.photos.degradations import DEFECTS, degrade


@pytest.mark.parametrize("name", DEFECTS)
def test_degraded_scans_are_images_of_8_bits(name: str) -> None:
    checks = torch.arange(48) // 3 % 2
    gray = 0.8 * torch.linspace(0, 1, 48).expand(2, 1, 48, 48) + 0.2 * (checks != checks[:, None])
    scan = degrade(gray, DEFECTS[name][1])
    assert scan.shape == (2, 3, 48, 48)
    torch.testing.assert_close(scan, (scan * 255).round() / 255)
    assert scan.min() >= 0
    assert scan.max() <= 1
    assert torch.equal(scan, degrade(gray, DEFECTS[name][1]))  # the same at every call
    off = (scan.mean(1, keepdim=True) - gray).abs().mean()
    assert off < 0.01 if name in ("clean", "faded, stretched") else off > 0.01
    # A scan shows what was there: whoever was lighter is so on average.
    assert np.corrcoef(scan[0].mean((0, 1)), gray[0, 0].mean(0))[0, 1] > 0.9


def test_noise_and_grain_are_as_strong_as_they_are_called() -> None:
    gray = torch.full((4, 1, 64, 64), 0.5)
    for name, sigma in (("noise σ 10", 10), ("noise σ 25", 25), ("film grain", 20)):
        assert degrade(gray, DEFECTS[name][1])[:, 0].std().item() * 255 == pytest.approx(sigma, rel=0.06)
    grain = degrade(gray, DEFECTS["film grain"][1])[:, 0] - 0.5
    assert (grain[..., 1:] * grain[..., :-1]).mean() > 0.5 * grain.var()  # clumps
