"""The noise of training: the same for a seed and a step, however the batch is divided."""

from __future__ import annotations

import numpy as np
import torch

from colornet.config import TrainConfig
from colornet.data import DeviceLoader


def loader(rank: int = 0, world: int = 1, pieces: int = 1, seed: int = 0, noise_channels: int = 2) -> DeviceLoader:
    config = TrainConfig(batch_size=12, seed=seed, noise_channels=noise_channels, accumulation_steps=pieces)
    images = torch.zeros(50, 3, 16, 16, dtype=torch.uint8)
    return DeviceLoader(images, config, torch.device("cpu"), rank=rank, world_size=world)


def noise_of(step: int, world: int = 1, pieces: int = 1, seed: int = 0) -> torch.Tensor:
    parts = [loader(rank, world, pieces, seed).noise(step) for rank in range(world)]
    assert all(part is not None and len(part) == pieces for part in parts)
    return torch.cat([piece for part in parts for piece in part or []])


def test_noise_of_training_depends_on_seed_and_step_only() -> None:
    for step in (0, 3, 4, 9):  # of epochs of four steps
        assert noise_of(step).shape == (12, 2)
        for world, pieces in ((2, 1), (3, 2), (1, 3)):
            assert torch.equal(noise_of(step, world, pieces), noise_of(step))
    steps = torch.cat([noise_of(step) for step in range(8)] + [noise_of(0, seed=1)])
    assert len(steps.unique()) == steps.numel()
    ordering = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0,)))  # what orders the images
    assert not np.array_equal(noise_of(0).numpy(), ordering.standard_normal((50, 2), dtype=np.float32)[:12])
    backwards = loader()
    _, later = backwards.noise(9), backwards.noise(0)
    assert later is not None
    assert torch.equal(later[0], noise_of(0))


def test_noise_changes_no_order_and_costs_nothing_where_there_is_none() -> None:
    assert loader(noise_channels=0).noise(0) is None
    images = torch.arange(50, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16)
    batches = []
    for channels in (0, 2):
        made = loader(noise_channels=channels)
        made.images = images
        made.noise(0)
        batches.append(torch.stack([batch for (batch,) in made.epoch(0)]))
    assert torch.equal(*batches)
