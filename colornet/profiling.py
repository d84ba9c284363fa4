"""A look into a few steps of training: which operations take how long, on the CPU and on a GPU."""

from __future__ import annotations

from pathlib import Path

from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import profile, schedule
from tqdm import tqdm

from colornet.files import replacing

__all__ = ["StepProfiler"]

_WAIT = 10  # steps that compile, choose algorithms and fill the allocator's cache
_WARMUP = 2  # steps in which the profiler gets ready
_STEPS = 5  # steps of the trace
_LISTED = 10  # operations


class StepProfiler:
    """Traces five early steps of this process into a folder and prints their most expensive operations.

    The trace opens in Perfetto (ui.perfetto.dev) and chrome://tracing. To watch does not change the results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen = 0  # steps
        self.profile = profile(schedule=schedule(wait=_WAIT, warmup=_WARMUP, active=_STEPS, repeat=1))
        self.profile.start()

    def step(self, step: int) -> None:
        """Note that a step has ended, the run's `step`-th; after the last one of the trace, write it."""
        if self.seen == _WAIT + _WARMUP + _STEPS:
            return
        self.profile.step()
        self.seen += 1
        if self.seen == _WAIT + _WARMUP + _STEPS:
            trace = self.folder / f"step-{step:08d}.json.gz"
            with replacing(trace) as path:
                self.profile.export_chrome_trace(str(path))
            tqdm.write(f"{_table(list(self.profile.key_averages()))}\n  {trace} opens in ui.perfetto.dev")

    def close(self) -> None:
        """End what is still recorded of a run that was too short."""
        self.profile.stop()
        if self.seen < _WAIT + _WARMUP + _STEPS:
            tqdm.write(f"no profile: {_WAIT + _WARMUP + _STEPS} steps are needed and {self.seen} were made")


def _table(events: list[FunctionEventAvg]) -> str:
    """List the operations that took most time of their own: on a GPU, its kernels; without one, those of the CPU."""
    events = [event for event in events if not (event.is_user_annotation or str(event.key).startswith("ProfilerStep"))]
    kernels = [event for event in events if event.self_device_time_total and not event.self_cpu_time_total]
    events = kernels or events
    times = [e.self_device_time_total if kernels else e.self_cpu_time_total for e in events]  # microseconds
    costly = sorted(zip(times, events, strict=True), key=lambda pair: pair[0], reverse=True)[:_LISTED]
    lines = [
        f"  {time / _STEPS / 1000:9.3f} {time / sum(times):6.1%} {event.count / _STEPS:7.1f}  {event.key:.80}"
        for time, event in costly
    ]
    return "\n".join(
        (f"profile of {_STEPS} steps\n    ms/step  share   calls  {'kernel' if kernels else 'operation'}", *lines)
    )
