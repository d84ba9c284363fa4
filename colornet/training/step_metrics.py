"""What steps of training return, kept on the device until it is logged: nothing else of the per-step path waits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from torch import Tensor

__all__ = ["StepValues"]


class StepValues:
    """The sums of what the steps since the last reading returned, the time they took, and the first bad step of all."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.sums: dict[str, Tensor] = {}
        self.first_bad_step = torch.zeros((), dtype=torch.int64, device=accelerator.device)  # 0: none
        self.clock = (time.perf_counter(), 0)

    def start_clock(self, step: int) -> None:
        """Time the steps after this one."""
        self.clock = (time.perf_counter(), step)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time of what is no training."""
        started = time.perf_counter()
        yield
        then, step = self.clock
        self.clock = (then + time.perf_counter() - started, step)

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Take in what a step returned; this does not wait for the device."""
        # fp16 skips steps whose scaled gradients overflow: only there, an infinite gradient is no accident.
        watched = [v for name, v in values.items() if self.accelerator.scaler is None or name.startswith("loss/")]
        bad = ~torch.isfinite(torch.stack(watched)).all() & (self.first_bad_step == 0)
        self.first_bad_step = torch.where(bad, step, self.first_bad_step)
        self.sums = {name: self.sums[name] + v if self.sums else v for name, v in values.items()}

    def read(self, step: int) -> tuple[dict[str, float], float]:
        """Return the means since the last reading, over all processes, and the steps a second; then start anew."""
        then, step_then = self.clock
        steps = step - step_then
        means = self.accelerator.reduce(torch.stack(list(self.sums.values())), "mean") / steps
        values = dict(zip(self.sums, means.tolist(), strict=True))
        self.sums = {}
        self.start_clock(step)
        return values, steps / (self.clock[0] - then)

    def first_bad(self) -> int | None:
        """Return the first step of which a value was not finite on any process; all of them must ask."""
        steps = self.accelerator.gather(self.first_bad_step.reshape(1)).tolist()
        return min(filter(None, steps), default=None)
