"""Batches of images on the device: shuffled, sharded between processes and augmented there."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colornet.config import TrainConfig
from colornet.data.count import check_batch
from colornet.data.memory_map import read_ahead

AHEAD = 3  # batches that are gathered while the current one is used, each by its own thread


class DeviceLoader:
    """Batches of a data set that resides on the device, or in CPU memory and is streamed to it.

    Order and augmentations are drawn globally from (seed, epoch), then sharded: the images of a step do not depend on
    the number of processes or micro-batches. The same holds for the noise of `noise`.

    Images that occupy more than `config.device_budget`, in GiB, are streamed; that changes no batch. The default is a
    quarter of the memory that is free on a GPU now. A CPU needs no budget: it uses the images where they are.

    `images` are uint8 (N, 3, H, W). `config`, which `check_config` accepts, gives the batch size of all `world_size`
    processes and their micro-batches together. Raises InputError if a batch holds more images than there are.
    """

    def __init__(
        self, images: Tensor, config: TrainConfig, device: torch.device, *, rank: int = 0, world_size: int = 1
    ) -> None:
        check_batch(config.batch_size, len(images))
        if config.device_budget is not None:
            budget = config.device_budget * 2**30
        else:  # the networks' activations need the rest
            budget = torch.cuda.mem_get_info(device)[0] / 4 if device.type == "cuda" else math.inf
        self.streamed = images.nbytes > budget
        self.images = images if self.streamed else images.to(device)
        self.config = config
        self.device = device
        self.rank = rank
        self.world_size = world_size
        self.drawn_noise: tuple[int, Tensor] | None = None  # the epoch that was needed last, and its noise

    def __len__(self) -> int:
        """Return the optimization steps of an epoch; an incomplete last batch, which would recompile, is dropped."""
        return len(self.images) // self.config.batch_size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[list[Tensor]]:
        """Yield this process's micro-batches of every step from `start`: `accumulation_steps` uint8 (b, 3, H, W) each.

        b = batch_size / (world_size * accumulation_steps). No step waits for the device.
        """
        config, count = self.config, len(self.images)
        # Torch's CPU generator uses only 32 bits of a seed; numpy's [seed, epoch] does not tell [2**32, 0] from [0, 1].
        rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(epoch,)))
        order = self._share(rng.permutation(count))[start:]  # (steps, batch_size / world_size)
        flips = self._share(rng.random(count) < 0.5).to(self.device)
        offsets = self._share(rng.integers(-config.shift, config.shift, size=(count, 2), endpoint=True)).to(self.device)
        if self.streamed:
            batches: Iterator[Tensor] = stream(self.images, order.numpy(), self.device)
        else:
            batches = (self.images.index_select(0, rows) for rows in order.to(self.device))
        for step, batch in enumerate(batches, start):  # (batch_size / world_size, 3, H, W)
            if config.flip:
                batch = random_flip(batch, flips[step])
            if config.shift:
                batch = random_shift(batch, offsets[step])
            yield list(batch.chunk(config.accumulation_steps))  # (b, 3, H, W) each

    def noise(self, step: int) -> list[Tensor] | None:
        """Return standard normal noise (b, C) for each micro-batch of a step of all epochs; None if C is 0."""
        if not self.config.noise_channels:
            return None
        epoch, place = divmod(step, len(self))
        if self.drawn_noise is None or self.drawn_noise[0] != epoch:
            # A separate random stream: order and augmentations are the same as without noise.
            rng = np.random.default_rng(np.random.SeedSequence(self.config.seed, spawn_key=(epoch, 1)))
            drawn = rng.standard_normal((len(self.images), self.config.noise_channels), dtype=np.float32)
            self.drawn_noise = epoch, self._share(drawn).to(self.device)  # (steps, batch_size / world_size, C)
        return list(self.drawn_noise[1][place].chunk(self.config.accumulation_steps))

    def _share(self, drawn: NDArray[np.generic]) -> Tensor:
        """Return this process's share of what is drawn for the images (N, …): (steps, batch_size / world_size, …)."""
        steps, batch_size = len(self), self.config.batch_size
        used = torch.from_numpy(drawn[: steps * batch_size])
        shares = used.view(steps, self.world_size, batch_size // self.world_size, *drawn.shape[1:])
        return shares[:, self.rank].contiguous()


def stream(images: Tensor, order: NDArray[np.int64], device: torch.device) -> Generator[Tensor]:
    """Yield `images[rows]` on the device for all rows (b,) of `order` (steps, b); `images` (N, …) is in CPU memory."""
    pinned = device.type == "cuda"  # so that copies are asynchronous
    source = images.numpy()

    def gather(rows: NDArray[np.int64]) -> Tensor:
        # Torch's cache of pinned memory reuses a block only after its copy to the device is complete.
        batch = torch.empty((len(rows), *images.shape[1:]), dtype=images.dtype, pin_memory=pinned)
        read_ahead(images, rows)
        np.take(source, rows, 0, batch.numpy(), mode="clip")  # in this thread: torch's are busy with the step
        return batch

    pending: deque[Future[Tensor]] = deque()
    pool = ThreadPoolExecutor(AHEAD, "batches")
    try:
        for rows in order:
            pending.append(pool.submit(gather, rows))
            if len(pending) > AHEAD:
                yield pending.popleft().result().to(device, non_blocking=True)
        while pending:
            yield pending.popleft().result().to(device, non_blocking=True)
    finally:
        pool.shutdown(cancel_futures=True)  # of an epoch that is left early


def random_flip(images: Tensor, flags: Tensor) -> Tensor:
    """Mirror the images (N, C, H, W) whose flag, bool (N,), is set, left to right."""
    return torch.where(flags[:, None, None, None], images.flip(-1), images)


def random_shift(images: Tensor, offsets: Tensor) -> Tensor:
    """Shift images (N, C, H, W) down and right by offsets (N, 2) below their side; edges reflect as in `np.pad`."""
    rows = _reflected(offsets[:, 0], images.shape[2])[:, None, :, None]  # (N, 1, H, 1)
    columns = _reflected(offsets[:, 1], images.shape[3])[:, None, None, :]  # (N, 1, 1, W)
    return images.gather(2, rows.expand_as(images)).gather(3, columns.expand_as(images))


def _reflected(offsets: Tensor, side: int) -> Tensor:
    """Return the source of each position (N, side) of an axis after a shift by offsets (N,)."""
    source = torch.arange(side, device=offsets.device) - offsets[:, None]  # (N, side), some out of range
    return (side - 1) - ((side - 1) - source.abs()).abs()
