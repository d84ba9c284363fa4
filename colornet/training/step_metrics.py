"""What training steps return, kept on the device until it is logged: the only wait for the device is there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import Tensor

from colornet.runs.checkpoint import State

_SUMS = "metrics/sums"  # tensor of a checkpoint


class StepMetrics:
    """Sums of what the steps since the last point of the curves returned, and the first step that was not finite.

    The sums are a part of the checkpoints: the next point after a resume is the mean over the same steps.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.sums: dict[str, Tensor] = {}  # of this process
        self.since = 0  # the last step that they do not contain
        self.first_bad_step = torch.zeros((), dtype=torch.int64, device=accelerator.device)  # 0: none

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Add what a step returned, without waiting for the device."""
        # fp16 skips steps whose scaled gradients overflow: only there, an infinite gradient is expected.
        watched = [v for name, v in values.items() if self.accelerator.scaler is None or name.startswith("loss/")]
        bad = ~torch.isfinite(torch.stack(watched)).all() & (self.first_bad_step == 0)
        self.first_bad_step = torch.where(bad, step, self.first_bad_step)
        self.sums = {name: self.sums[name] + v if name in self.sums else v for name, v in values.items()}

    def read(self, step: int, *, ends: bool) -> dict[str, float]:
        """Return the means since the last point, over all processes, and start again; this waits for the device.

        A point that ends before its time leaves the sums as they are: `ends` is false.
        """
        means = self.accelerator.reduce(torch.stack(list(self.sums.values())), "mean") / (step - self.since)
        values = dict(zip(self.sums, means.tolist(), strict=True))
        if ends:
            self.sums, self.since = {}, step
        return values

    def state(self) -> State:
        """Return the sums of all processes (processes, sums), for a checkpoint; all processes must call this."""
        tensors = {}
        if self.sums:
            tensors[_SUMS] = self.accelerator.gather(torch.stack(list(self.sums.values()))[None])
        return State({"since": self.since, "sums": list(self.sums)}, tensors)

    def restore(self, state: State | None, step: int) -> None:
        """Continue after `step` with what `state` returned; None if an earlier version saved none.

        Of another number of processes, each takes the mean of the sums. Raises `ValueError` for anything else.
        """
        self.sums, self.since = {}, step
        if state is None:
            return
        since, names, sums = state.values.get("since"), state.values.get("sums"), state.tensors.get(_SUMS)
        if not (isinstance(since, int) and 0 <= since <= step and isinstance(names, list)):
            raise ValueError("the sums of its curves are none")
        if bool(names) != (sums is not None) or bool(names) != (since < step):
            raise ValueError("the sums of its curves are incomplete")
        if sums is not None:
            if not (sums.ndim == 2 and len(sums) > 0 and sums.shape[1] == len({*names}) and sums.is_floating_point()):
                raise ValueError("the sums of its curves have another shape than their names")
            same_processes = len(sums) == self.accelerator.num_processes
            own = sums[self.accelerator.process_index] if same_processes else sums.mean(0)  # (sums,)
            self.sums = dict(zip(names, own.to(self.accelerator.device).unbind(), strict=True))
        self.since = since

    def first_bad(self) -> int | None:
        """Return the first step of which a value was not finite on any process; all processes must call this."""
        steps = self.accelerator.gather(self.first_bad_step.reshape(1)).tolist()
        return min(filter(None, steps), default=None)

    def lost_scale(self) -> float | None:
        """Return the scale of fp16 if it has fallen so far that gradients overflow unscaled; this waits for the device.

        From 2¹⁶ it halves with every step that is skipped because a gradient overflowed.
        """
        scaler = self.accelerator.scaler
        scale: float | None = None if scaler is None else scaler.get_scale()
        return None if scale is None or scale >= 1 else scale
