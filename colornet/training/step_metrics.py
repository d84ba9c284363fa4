"""What training steps return, kept on the device until it is logged: the only wait for the device is there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import Tensor


class StepMetrics:
    """Sums of what the steps since the last `read` returned, their number, and the first step that was not finite."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.sums: dict[str, Tensor] = {}
        self.steps = 0
        self.first_bad_step = torch.zeros((), dtype=torch.int64, device=accelerator.device)  # 0: none

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Add what a step returned, without waiting for the device."""
        # fp16 skips steps whose scaled gradients overflow: only there, an infinite gradient is expected.
        watched = [v for name, v in values.items() if self.accelerator.scaler is None or name.startswith("loss/")]
        bad = ~torch.isfinite(torch.stack(watched)).all() & (self.first_bad_step == 0)
        self.first_bad_step = torch.where(bad, step, self.first_bad_step)
        self.steps += 1
        self.sums = {name: self.sums[name] + v if self.sums else v for name, v in values.items()}

    def read(self) -> dict[str, float]:
        """Return the means since the last `read`, over all processes, and start again; this waits for the device."""
        means = self.accelerator.reduce(torch.stack(list(self.sums.values())), "mean") / self.steps
        values = dict(zip(self.sums, means.tolist(), strict=True))
        self.sums, self.steps = {}, 0
        return values

    def first_bad(self) -> int | None:
        """Return the first step of which a value was not finite on any process; all processes must call this."""
        steps = self.accelerator.gather(self.first_bad_step.reshape(1)).tolist()
        return min(filter(None, steps), default=None)
