"""A profile of a few training steps: how long each operation takes, on the CPU and on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import profile, schedule

from colornet.files import replacing, write_json

_WAIT = 10  # steps that compile, choose algorithms and fill the allocator's cache
_WARMUP = 2  # steps of the profiler's own warm-up
_STEPS = 5  # steps of the trace
_NEEDED = _WAIT + _WARMUP + _STEPS
_LISTED = 10  # operations


class StepProfiler:
    """Traces five early steps of this process into a folder and says their most expensive operations.

    A JSON beside the trace lists all operations after the entries of `about`. Profiling does not change the results.
    """

    def __init__(self, folder: Path, about: dict[str, Any], say: Callable[[str], None]) -> None:
        self.folder, self.about, self.say = folder, about, say
        self.seen = 0  # steps
        once = schedule(wait=_WAIT, warmup=_WARMUP, active=_STEPS, repeat=1)
        self.profile = profile(schedule=once, acc_events=True)  # torch 2.11 warns without it, though no cycle follows
        self.profile.start()

    def step(self, step: int) -> None:
        """Record that the run's step number `step` has ended; after the last step of the trace, write it."""
        if self.seen == _NEEDED:
            return
        self.profile.step()
        self.seen += 1
        if self.seen == _NEEDED:
            trace = self.folder / f"step-{step:08d}.json.gz"
            with replacing(trace) as path:
                self.profile.export_chrome_trace(str(path))
            unit, operations = _operations(list(self.profile.key_averages()))
            listed = {"kind": "profile", **self.about, "steps": _STEPS, "unit": unit, "operations": operations}
            write_json(self.folder / f"operations-{step:08d}.json", listed)
            self.say(f"{_table(unit, operations)}\n  {trace} opens in ui.perfetto.dev")

    def close(self) -> None:
        """Stop, and say so if the run was too short for a trace."""
        self.profile.stop()
        if self.seen < _NEEDED:
            self.say(f"no profile: {_NEEDED} steps are needed and {self.seen} were made")


def _operations(events: list[FunctionEventAvg]) -> tuple[str, list[dict[str, Any]]]:
    """Return "kernel", on a GPU, or "operation", and a record of each, by its own time and the most expensive first."""
    events = [event for event in events if not (event.is_user_annotation or str(event.key).startswith("ProfilerStep"))]
    kernels = [event for event in events if event.self_device_time_total and not event.self_cpu_time_total]
    events = kernels or events
    times = [e.self_device_time_total if kernels else e.self_cpu_time_total for e in events]  # microseconds
    costly = sorted(zip(times, events, strict=True), key=lambda pair: pair[0], reverse=True)
    return "kernel" if kernels else "operation", [
        {
            "name": str(event.key),
            "ms_per_step": time / _STEPS / 1000,
            "share": time / sum(times),
            "calls_per_step": event.count / _STEPS,
        }
        for time, event in costly
        if time
    ]


def _table(unit: str, operations: list[dict[str, Any]]) -> str:
    """Format the most expensive operations as a table."""
    lines = [
        f"  {row['ms_per_step']:9.3f} {row['share']:6.1%} {row['calls_per_step']:7.1f}  {row['name']:.80}"
        for row in operations[:_LISTED]
    ]
    return "\n".join((f"profile of {_STEPS} steps\n    ms/step  share   calls  {unit}", *lines))
