"""Start several processes of this machine that measure together."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from torch.distributed.launcher.api import LaunchConfig, elastic_launch

_Result = TypeVar("_Result")


def launch(work: Callable[..., _Result], processes: int, *arguments: Any) -> list[_Result]:
    """Call a function of a module in so many new processes, with the environment of a launcher; return the results.

    They are in the order of the ranks; arguments and results are pickled.
    """
    config = LaunchConfig(
        1, 1, processes, run_id=f"benchmarks-{os.getpid()}", rdzv_backend="c10d", rdzv_endpoint="localhost:0",
        max_restarts=0, monitor_interval=0.2,
    )  # fmt: skip
    results = elastic_launch(config, work)(*arguments)
    return [results[rank] for rank in range(processes)]
