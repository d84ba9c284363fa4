"""What training steps return, kept on the device until it is logged: the only wait for the device is there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from torch import Tensor


class StepMetrics:
    """Sums of what the steps since the last `read` returned, their time, and the first step that was not finite."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.sums: dict[str, Tensor] = {}
        self.first_bad_step = torch.zeros((), dtype=torch.int64, device=accelerator.device)  # 0: none
        self.clock = (time.perf_counter(), 0)

    def start_clock(self, step: int) -> None:
        """Measure the time of the steps after this one."""
        self.clock = (time.perf_counter(), step)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time spent inside."""
        started = time.perf_counter()
        yield
        then, step = self.clock
        self.clock = (then + time.perf_counter() - started, step)

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Add what a step returned, without waiting for the device."""
        # fp16 skips steps whose scaled gradients overflow: only there, an infinite gradient is expected.
        watched = [v for name, v in values.items() if self.accelerator.scaler is None or name.startswith("loss/")]
        bad = ~torch.isfinite(torch.stack(watched)).all() & (self.first_bad_step == 0)
        self.first_bad_step = torch.where(bad, step, self.first_bad_step)
        self.sums = {name: self.sums[name] + v if self.sums else v for name, v in values.items()}

    def read(self, step: int) -> tuple[dict[str, float], float]:
        """Return the means since the last `read`, over all processes, and the steps per second; then start again."""
        then, step_then = self.clock
        steps = step - step_then
        means = self.accelerator.reduce(torch.stack(list(self.sums.values())), "mean") / steps
        values = dict(zip(self.sums, means.tolist(), strict=True))
        self.sums = {}
        self.start_clock(step)
        return values, steps / (self.clock[0] - then)

    def first_bad(self) -> int | None:
        """Return the first step of which a value was not finite on any process; all processes must call this."""
        steps = self.accelerator.gather(self.first_bad_step.reshape(1)).tolist()
        return min(filter(None, steps), default=None)
