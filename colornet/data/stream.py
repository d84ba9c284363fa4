"""Batches of images that do not live on the device: gathered ahead in the background and copied there."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colornet.data.memory_map import read_ahead

__all__ = ["AHEAD", "stream"]

AHEAD = 3  # batches that are gathered while the one before them is worked on, each by a thread of its own


def stream(images: Tensor, order: NDArray[np.int64], device: torch.device) -> Generator[Tensor]:
    """Yield `images[rows]` on the device for all rows (b,) of `order` (steps, b); `images` (N, …) is in CPU memory.

    For a GPU they are gathered into pinned memory, so that no copy is waited for.
    """
    pinned = device.type == "cuda"
    source = images.numpy()

    def gather(rows: NDArray[np.int64]) -> Tensor:
        # Pinned memory comes from torch's cache of it, which waits with reuse until the copy to the device is over.
        batch = torch.empty((len(rows), *images.shape[1:]), dtype=images.dtype, pin_memory=pinned)
        read_ahead(images, rows)
        np.take(source, rows, 0, batch.numpy(), mode="clip")  # by one thread: torch's are busy with the step
        return batch

    pending: deque[Future[Tensor]] = deque()
    with ThreadPoolExecutor(AHEAD, "batches") as pool:
        try:
            for rows in order:
                pending.append(pool.submit(gather, rows))
                if len(pending) > AHEAD:
                    yield pending.popleft().result().to(device, non_blocking=True)
            while pending:
                yield pending.popleft().result().to(device, non_blocking=True)
        finally:
            for future in pending:  # an epoch that is left early
                future.cancel()
