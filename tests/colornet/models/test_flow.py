"""The generator of flow matching: its noise, its integration and what it learns from."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from colornet.models.flow import SCALE, FlowUNet
from colornet.models.noise import fixed_noise


def small_flow(**options: object) -> FlowUNet:
    torch.manual_seed(0)
    return FlowUNet(width=8, blocks=1, **options).eval()  # type: ignore[arg-type]


class Gaussian(torch.nn.Module):
    """The exact velocity where the true color is normal with a mean and a standard deviation at every pixel."""

    def __init__(self, mean: float, std: float, start: float, spread: float) -> None:
        super().__init__()
        self.mean, self.std, self.start, self.spread = mean, std, start, spread

    def forward(self, seen: Tensor, code: Tensor) -> Tensor:
        now = seen[:, 6:]
        t = torch.atan2(code[:, :1].abs(), code[:, 4:5])[:, :, None, None] / math.pi  # half a turn from 0 to 1
        variance = (1 - t) ** 2 * self.spread**2 + t**2 * self.std**2
        covariance = t * self.std**2 - (1 - t) * self.spread**2  # of x₁ − x₀ with xₜ
        return (self.mean - self.start) + covariance / variance * (now - (1 - t) * self.start - t * self.mean)


@pytest.mark.parametrize("from_mean", [True, False])
def test_exact_velocity_carries_the_noise_to_the_distribution_of_the_truth(from_mean: bool) -> None:
    """The transport between normal distributions is linear, and Heun's error falls with the square of the steps."""
    flow = small_flow(spread=0.3, from_mean=from_mean)
    gray = torch.rand(4, 1, 16, 16) * 2 - 1
    spread = 0.3 if from_mean else 1.0
    flow.velocity = Gaussian(0.7, 0.5, 0.0, spread)  # type: ignore[assignment]
    noise = flow.noise(gray)
    exact = F.interpolate(0.7 + 0.5 * noise, scale_factor=2, mode="bilinear") / SCALE
    errors = []
    for flow.steps in (8, 16, 32):
        errors.append((flow(gray, noise) - exact).abs().max().item())
    assert errors[2] < 1e-3
    assert errors[0] / errors[1] > 3
    assert errors[1] / errors[2] > 3


def test_untrained_flow_is_the_mean_and_noise_around_it() -> None:
    flow = small_flow(spread=0.5)
    gray = torch.rand(3, 1, 16, 16) * 2 - 1
    noise = flow.noise(gray)
    assert noise.shape == (3, 2, 8, 8)
    expected = F.interpolate(0.5 * noise, scale_factor=2, mode="bilinear") / SCALE
    torch.testing.assert_close(flow(gray), expected)
    torch.testing.assert_close(flow(gray, fixed_noise(gray, 2)), expected)
    assert not flow(gray, flow.noise(gray, 1)).isclose(expected).all()


def test_it_learns_from_uniform_times_and_the_way_to_the_truth() -> None:
    flow = small_flow(spread=0.5)
    seen: list[tuple[Tensor, Tensor]] = []
    flow.velocity.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    gray, color = torch.rand(2000, 1, 8, 8) * 2 - 1, torch.randn(2000, 2, 8, 8) / SCALE
    seeds = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
    pair = flow(gray, seeds, color)
    ((inputs, code),) = seen
    time = torch.atan2(code[:, 0], code[:, 4]) / math.pi
    ranks = time.sort().values
    assert (ranks - (torch.arange(2000) + 0.5) / 2000).abs().max() < 1.95 / math.sqrt(2000)  # Kolmogorov, p 0.001
    low, start = F.avg_pool2d(color * SCALE, 2), 0.5 * flow.spatial(seeds, gray)
    torch.testing.assert_close(pair.target, low - start)
    t = time[:, None, None, None]
    torch.testing.assert_close(inputs[:, 6:], (1 - t) * start + t * low, rtol=1e-4, atol=1e-5)
    assert inputs[:, :4].equal(F.pixel_unshuffle(gray, 2))
    assert not pair.mean.any()
    assert not pair.velocity.any()


def test_the_velocity_does_not_train_the_mean() -> None:
    flow = small_flow().train()
    for parameter in flow.mean.head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    pair = flow(torch.rand(2, 1, 8, 8), torch.randn(2, 2), torch.randn(2, 2, 8, 8) / SCALE)
    F.mse_loss(pair.velocity, pair.target).backward()
    assert all(parameter.grad is None for parameter in flow.mean.parameters())
