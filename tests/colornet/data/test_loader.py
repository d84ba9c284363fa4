"""The loader shows every process its share of one global order, and augments as a loop over single images would."""

from __future__ import annotations

import threading
import time
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from colornet.config import TrainConfig
from colornet.data import DeviceLoader
from colornet.data.loader import AHEAD, random_flip, random_shift, stream
from colornet.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images() -> Tensor:
    """52 images of noise, 6 pixels high and 5 wide, the first pixel of which is the image's number."""
    pixels = np.random.default_rng(0).integers(0, 256, (52, 3, 6, 5), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(52)
    return torch.from_numpy(pixels)


def loader(images: Tensor, rank: int = 0, world_size: int = 1, **options: Any) -> DeviceLoader:
    config = TrainConfig(**{"batch_size": 8, "seed": 1} | options)
    return DeviceLoader(images, config, CPU, rank=rank, world_size=world_size)


def steps(images: Tensor, *, epoch: int = 0, start: int = 0, **options: Any) -> list[Tensor]:
    """The images of each step, micro-batches joined."""
    return [torch.cat(microbatches) for microbatches in loader(images, **options).epoch(epoch, start)]


def test_an_epoch_is_full_batches_of_different_images(images: Tensor) -> None:
    loaded = loader(images, flip=False)
    batches = list(loaded.epoch(0))
    assert len(batches) == len(loaded) == 52 // 8
    assert all([batch.shape for batch in microbatches] == [(8, 3, 6, 5)] for microbatches in batches)
    seen = torch.cat([batch for microbatches in batches for batch in microbatches])
    numbers = seen[:, 0, 0, 0].long()
    assert len(set(numbers.tolist())) == 48
    assert torch.equal(seen, images[numbers])
    assert seen.dtype == torch.uint8


def test_every_image_comes_once_an_epoch_when_batches_divide_them(images: Tensor) -> None:
    seen = torch.cat(steps(images, batch_size=13, flip=False))
    assert sorted(seen[:, 0, 0, 0].tolist()) == list(range(52))


@pytest.mark.parametrize(("world_size", "accumulation_steps"), [(1, 2), (1, 4), (2, 1), (2, 2), (2, 4), (4, 1), (4, 2)])
def test_processes_and_microbatches_share_the_same_batches(
    images: Tensor, world_size: int, accumulation_steps: int
) -> None:
    expected = steps(images, shift=2, epoch=3)
    ranks = [
        loader(images, shift=2, rank=rank, world_size=world_size, accumulation_steps=accumulation_steps).epoch(3)
        for rank in range(world_size)
    ]
    size = 8 // (world_size * accumulation_steps)
    for shares, batch in zip(zip(*ranks, strict=True), expected, strict=True):
        assert all(len(share) == accumulation_steps for share in shares)
        assert all(len(microbatch) == size for share in shares for microbatch in share)
        assert torch.equal(torch.cat([microbatch for share in shares for microbatch in share]), batch)


def test_start_gives_the_rest_of_the_epoch(images: Tensor) -> None:
    whole = steps(images, shift=1, epoch=2, world_size=2, rank=1)
    for start in range(7):
        rest = steps(images, shift=1, epoch=2, world_size=2, rank=1, start=start)
        assert len(rest) == 6 - start
        assert all(torch.equal(a, b) for a, b in zip(rest, whole[start:], strict=True))


@pytest.mark.parametrize("start", [0, 4])
@pytest.mark.parametrize(("world_size", "accumulation_steps"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_streaming_changes_no_batch(images: Tensor, start: int, world_size: int, accumulation_steps: int) -> None:
    for epoch, rank in product((0, 1), range(world_size)):
        options: dict[str, Any] = {
            "shift": 2, "noise_channels": 3, "rank": rank, "world_size": world_size,
            "accumulation_steps": accumulation_steps,
        }  # fmt: skip
        resident, streamed = loader(images, **options), loader(images, device_budget=0, **options)
        assert (resident.streamed, streamed.streamed) == (False, True)
        batches = list(resident.epoch(epoch, start)), list(streamed.epoch(epoch, start))
        for ours, theirs in zip(*batches, strict=True):
            assert len(ours) == accumulation_steps
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        noises = resident.noise(3) or [], streamed.noise(3) or []
        assert all(torch.equal(a, b) for a, b in zip(*noises, strict=True))


def test_only_what_exceeds_the_budget_is_streamed(images: Tensor) -> None:
    exactly = images.nbytes / 2**30
    assert not loader(images, device_budget=exactly).streamed
    assert loader(images, device_budget=exactly * 0.99).streamed
    assert not loader(images).streamed  # a CPU works on them where they are


def test_batches_are_gathered_ahead_but_not_too_far(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[list[int]] = []
    monkeypatch.setattr("colornet.data.loader.read_ahead", lambda _, rows: gathered.append(rows.tolist()))
    order = np.arange(52).reshape(26, 2)
    batches = stream(images, order, CPU)
    for number in range(10):
        next(batches)
        deadline = time.monotonic() + 10
        while len(gathered) < number + 1 + AHEAD and time.monotonic() < deadline:
            time.sleep(0.001)
        assert sorted(gathered) == order[: number + 1 + AHEAD].tolist()
    batches.close()
    assert not any(thread.name.startswith("batches") for thread in threading.enumerate())
    assert len(gathered) <= 10 + AHEAD


def test_what_fails_in_the_background_is_raised(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object) -> None:
        raise OSError("a bad sector")

    monkeypatch.setattr("colornet.data.loader.read_ahead", damaged)
    with pytest.raises(OSError, match="a bad sector"):
        next(loader(images, device_budget=0).epoch(0))


def test_seed_and_epoch_alone_decide(images: Tensor) -> None:
    draws = {
        (seed, epoch): torch.cat(steps(images, shift=1, seed=seed, epoch=epoch))
        for seed, epoch in product((0, 1, 2**32, 2**32 + 1), (0, 1))
    }
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 (the point is that it does not matter)
    assert torch.equal(draws[1, 1], torch.cat(steps(images, shift=1, seed=1, epoch=1)))
    for a, b in product(draws, draws):
        assert a == b or not torch.equal(draws[a], draws[b])


def test_switching_augmentation_keeps_the_order(images: Tensor) -> None:
    plain = torch.cat(steps(images, flip=False))
    flipped = torch.cat(steps(images, flip=True))
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(flipped, plain, strict=True)]
    assert all(torch.equal(a, b) or mirror for a, b, mirror in zip(flipped, plain, mirrored, strict=True))
    assert 10 < sum(mirrored) < 38


def test_every_shift_occurs() -> None:
    positions = torch.arange(49, dtype=torch.uint8).reshape(1, 1, 7, 7).expand(600, 3, 7, 7)
    shifted = torch.cat(steps(positions, flip=False, shift=2, batch_size=100))
    centers, counts = np.unique(shifted[:, 0, 3, 3].numpy(), return_counts=True)
    assert centers.tolist() == [row * 7 + column for row, column in product(range(1, 6), range(1, 6))]
    assert counts.min() > 5


def test_flip_is_that_of_single_images(images: Tensor) -> None:
    flags = torch.arange(52) % 3 == 0
    for image, flag, result in zip(images.numpy(), flags.tolist(), random_flip(images, flags).numpy(), strict=True):
        assert np.array_equal(result, image[:, :, ::-1] if flag else image)


def test_shift_is_that_of_single_images(images: Tensor) -> None:
    offsets = torch.tensor(list(product(range(-5, 6), range(-4, 5))))  # all that an image of 6 x 5 allows
    chosen = images[torch.arange(len(offsets)) % len(images)]
    for image, (down, right), result in zip(chosen, offsets.tolist(), random_shift(chosen, offsets), strict=True):
        padded = np.pad(image.numpy(), ((0, 0), (5, 5), (4, 4)), mode="reflect")
        expected = padded[:, 5 - down : 11 - down, 4 - right : 9 - right]
        assert np.array_equal(result.numpy(), expected), (down, right)


def test_batch_larger_than_the_data_is_refused(images: Tensor) -> None:
    with pytest.raises(InputError, match="Batch size 53 exceeds the 52 training images"):
        loader(images, batch_size=53)
    assert len(loader(images, batch_size=52)) == 1
