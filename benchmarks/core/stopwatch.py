"""A stopwatch that waits for the device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["Stopwatch"]


class Stopwatch:
    """Seconds that pass while it runs, the work of the device included, and on a CPU those that this process works."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self.cpu_seconds: float | None = 0.0 if device.type == "cpu" else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of a block; what the device was asked for before is waited for first."""
        self._wait()
        started, worked = time.perf_counter(), time.process_time()
        yield
        self._wait()
        self.seconds += time.perf_counter() - started
        if self.cpu_seconds is not None:
            self.cpu_seconds += time.process_time() - worked

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
