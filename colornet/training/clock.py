"""The speed of training, without what is not training: compilation, evaluation, and work that a device has not done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StepClock:
    """Measures the steps since the last `speed`, but for the first step of a start, which compiles and tunes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.since: tuple[float, int] | None = None  # the time and the number of steps where the measurement began

    def count(self, step: int) -> None:
        """Note that a step, numbered from 1, was made; the first one waits for the device and starts the clock."""
        if self.since is None:
            self.restart(step)

    def restart(self, step: int) -> None:
        """Measure the steps after this one."""
        self.settle()
        self.since = time.perf_counter(), step

    def speed(self, step: int) -> float | None:
        """Return the steps per second since the clock was started, None if there were none; then start again."""
        then = self.since
        self.restart(step)
        if then is None or self.since is None or step == then[1]:
            return None
        return (step - then[1]) / (self.since[0] - then[0])

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time spent inside, that of the device included."""
        self.settle()
        started = time.perf_counter()
        yield
        self.settle()
        if self.since is not None:
            then, step = self.since
            self.since = then + time.perf_counter() - started, step

    def settle(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
