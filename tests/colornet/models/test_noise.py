"""The noise of images: its distribution, its independence, and what it follows from."""

import math

import pytest
import torch

from colornet.color import LabSpace, RgbSpace, to_float
from colornet.models.noise import fixed_noise, octave_noise, white_noise
from tests.images import random_pixels


def test_noise_of_images_is_standard_normal_and_independent() -> None:
    gray = torch.rand(4000, 1, 8, 8, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255
    samples = torch.cat([fixed_noise(gray, 3), fixed_noise(gray, 3, sample=1)], dim=1)  # (4000, 6)
    assert samples.mean(0).abs().max() < 0.06
    assert (torch.cov(samples.T) - torch.eye(6)).abs().max() < 0.08
    assert (samples.abs() < 1).double().mean().sub(0.6827).abs() < 0.02


def test_noise_belongs_to_the_image_whatever_comes_with_it() -> None:
    rgb = random_pixels(6, 16, 16)
    for space in (LabSpace(), RgbSpace()):
        gray, _ = space.encode(to_float(rgb))
        whole = fixed_noise(gray, 2)
        alone = torch.cat([fixed_noise(space.encode(to_float(image[None]))[0], 2) for image in rgb])
        assert torch.equal(whole, alone)
        assert torch.equal(fixed_noise(gray.flip(0), 2), whole.flip(0))
        assert len(whole.unique()) == whole.numel()


def split_mix(state: int, count: int) -> list[int]:
    """Draw numbers as the published generator does, in Python's integers."""
    drawn = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        drawn.append(z ^ (z >> 31))
    return drawn


def test_white_noise_is_that_of_splitmix() -> None:
    assert split_mix(1234567, 2) == [6457827717110365317, 3203168211198807973]  # as published
    seeds = torch.tensor([[0.25], [-1.5]])
    for seed, noise in zip(seeds, white_noise(seeds, 30), strict=True):
        # `_mix` of the bits of the seed is the first number drawn from a state one increment before them.
        (start,) = split_mix((seed.view(torch.int32).item() - 0x9E3779B97F4A7C15) % 2**64, 1)
        uniform = torch.tensor([((number >> 11) + 0.5) / 2**53 for number in split_mix(start, 30)], dtype=torch.double)
        expected = torch.distributions.Normal(0.0, 1.0).icdf(uniform)
        torch.testing.assert_close(noise.double(), expected, rtol=1e-6, atol=1e-6)


def test_white_noise_is_standard_normal_and_independent_of_other_images_and_of_the_seed() -> None:
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
