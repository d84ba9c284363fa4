"""The generator of flow matching: its noise, its integration and what it learns from."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from colornet.models.flow import SCALE, FlowUNet, octave_noise, white_noise
from colornet.models.unet import fixed_noise


def small_flow(**options: object) -> FlowUNet:
    torch.manual_seed(0)
    return FlowUNet(width=8, blocks=1, **options).eval()  # type: ignore[arg-type]


def split_mix(state: int, count: int) -> list[int]:
    """Draw numbers as the published generator does, in Python's integers."""
    drawn = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        drawn.append(z ^ (z >> 31))
    return drawn


def test_noise_is_that_of_splitmix() -> None:
    assert split_mix(1234567, 2) == [6457827717110365317, 3203168211198807973]  # as published
    seeds = torch.tensor([[0.25], [-1.5]])
    for seed, noise in zip(seeds, white_noise(seeds, 30), strict=True):
        # `_mix` of the bits of the seed is the first number drawn from a state one increment before them.
        (start,) = split_mix((seed.view(torch.int32).item() - 0x9E3779B97F4A7C15) % 2**64, 1)
        uniform = torch.tensor([((number >> 11) + 0.5) / 2**53 for number in split_mix(start, 30)], dtype=torch.double)
        expected = torch.distributions.Normal(0.0, 1.0).icdf(uniform)
        torch.testing.assert_close(noise.double(), expected, rtol=1e-6, atol=1e-6)


def test_noise_is_standard_normal_and_independent_of_other_images_and_of_the_seed() -> None:
    seeds = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    noise = white_noise(seeds, 512)
    count = noise.numel()
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert abs((noise**power).mean() - moment) < 4 * (noise ** (2 * power)).mean().sqrt() / math.sqrt(count)
    correlation = torch.corrcoef(torch.cat((noise, seeds), dim=1).T).fill_diagonal_(0)
    assert correlation.abs().max() < 5.5 / math.sqrt(500)
    between = torch.corrcoef(noise).fill_diagonal_(0)
    assert between.abs().max() < 5.5 / math.sqrt(512)
    assert white_noise(seeds[7:9], 512).equal(noise[7:9])


def test_octaves_share_the_variance() -> None:
    seeds = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    noise = octave_noise(seeds, 2, 17, 18)
    assert noise.shape == (4000, 2, 17, 18)
    first = noise[:, 0]
    assert (noise.var(0) - 1).abs().max() < 5 * math.sqrt(2 / 4000)
    for row, expected in ((0, 1.0), (1, 0.8), (2, 0.6), (4, 0.4), (8, 0.2), (16, 0.0)):
        assert (first[:, 0, 0] * first[:, row, 0]).mean().item() == pytest.approx(expected, abs=4.5 / math.sqrt(4000))
    assert abs((first[:, 0, 0] * noise[:, 1, 0, 0]).mean()) < 4.5 / math.sqrt(4000)


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
