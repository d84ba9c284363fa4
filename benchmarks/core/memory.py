"""How much memory a case needs at its peak.

On a GPU the allocator reports it. On a CPU a fresh process runs the case and reads its own peak, Python and the
libraries included; run as a module, this file is that process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch

from benchmarks.core.steps import Case, build_step, random_dataset, release
from colornet.config import TrainConfig

STEPS = 2  # the second step also holds the moments of the optimizer
STATUS = Path("/proc/self/status")  # Linux
_OVER_LIMIT = 3  # exit code of the fresh process
_POLL_SECONDS = 0.01  # how often the fresh process reads its memory


def peak_memory(case: Case, limit: int | None = None) -> int | None:
    """Measure the bytes that some steps of a case need at their peak; None if they are more than there are.

    `limit` is in bytes, None means no limit; on a GPU the size of its memory is a limit as well.
    """
    peak = _peak_on_gpu(case) if case.device.type == "cuda" else _peak_of_fresh_process(case, limit)
    return None if peak is not None and limit is not None and peak > limit else peak


def _peak_on_gpu(case: Case) -> int | None:
    allocated = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    try:
        _run(case)
        return torch.cuda.max_memory_allocated() - allocated
    except torch.OutOfMemoryError:
        return None
    finally:
        release()


def _peak_of_fresh_process(case: Case, limit: int | None) -> int | None:
    request = json.dumps({**dataclasses.asdict(case), "limit": limit})
    command, root = [sys.executable, "-m", "benchmarks.core.memory"], Path(__file__).parents[2]
    done = subprocess.run(command, input=request, capture_output=True, text=True, cwd=root, check=False)
    if done.returncode in (_OVER_LIMIT, -signal.SIGKILL):  # ended by itself, or by the kernel for lack of memory
        return None
    if done.returncode:
        raise RuntimeError(f"The process that measures memory failed: {done.stderr.strip()}")
    return int(done.stdout)


def _run(case: Case) -> None:
    """Make some steps of a case on random images."""
    step = build_step(case, random_dataset(case.config))
    for _ in range(STEPS):
        step()


def read_peak() -> int:
    """Return the most bytes of memory that this process has occupied so far."""
    return status_bytes("VmHWM")


def status_bytes(name: str) -> int:
    """Return the bytes of an entry of Linux's status of this process, such as "RssAnon"."""
    line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def host_memory() -> int:
    """Return the bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _main() -> None:
    request = json.load(sys.stdin)
    limit, config = request.pop("limit"), request.pop("config")
    if limit is not None:
        threading.Thread(target=_end_over, args=(limit,), daemon=True).start()
    config["multipliers"] = tuple(config["multipliers"])
    try:
        _run(Case(**request, config=TrainConfig(**config)))
    except RuntimeError as error:
        if "can't allocate memory" in str(error):
            sys.exit(_OVER_LIMIT)
        raise
    sys.stdout.write(str(read_peak()))


def _end_over(limit: int) -> None:
    """End this process as soon as it occupies more bytes than `limit`."""
    while read_peak() <= limit:
        time.sleep(_POLL_SECONDS)
    os._exit(_OVER_LIMIT)


if __name__ == "__main__":
    _main()
