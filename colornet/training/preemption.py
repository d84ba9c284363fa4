"""Stop when a scheduler asks for it: signals are recorded, and all processes agree on the step after which to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_STOP_SIGNALS = [getattr(signal, n) for n in ("SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, n)]  # not on Windows


@contextmanager
def noting_stop_signals() -> Iterator[Callable[[], bool]]:
    """Record SIGTERM, SIGUSR1 and SIGHUP instead of ending on them; yield a function that tells whether one arrived.

    A signal that is ignored, as SIGHUP under `nohup`, stays so.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # signals keep their effect there
        yield lambda: False
        return
    heeded = [number for number in _STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda caught, _: received.append(caught)) for number in heeded}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopVote:
    """Lets all processes know, after the same step, whether any of them was asked to stop.

    The votes of one step are counted, by gloo on the CPUs, during the next step: no step waits for a device or for the
    votes of other processes. Every process calls `passed` and then `cast` in each step.
    """

    def __init__(self, asked: Callable[[], bool], processes: int) -> None:
        self.asked = asked
        self.group: Any = torch.distributed.new_group(backend="gloo") if processes > 1 else None
        self.count: tuple[Any, Tensor] | None = None  # the current reduction and its result

    def cast(self) -> None:
        """Start to count whether this process or another one was asked to stop."""
        if self.group is not None:
            vote = torch.tensor(int(self.asked()))
            most = torch.distributed.ReduceOp.MAX
            self.count = torch.distributed.all_reduce(vote, most, self.group, async_op=True), vote

    def passed(self) -> bool:
        """Return the result of the last `cast`; with one process, whether it has been asked so far."""
        if self.group is None:
            return self.asked()
        if self.count is None:
            return False
        work, vote = self.count
        self.count = None
        work.wait()
        return bool(vote)
