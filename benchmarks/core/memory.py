"""How much memory a case needs at its peak, and the largest batch that fits.

On a GPU the allocator says it. On a CPU a fresh process runs the case and reads its own peak, Python and the libraries
included; run as a module, this file is that process.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.throughput.options import ThroughputOptions
from benchmarks.throughput.timing import Case, build_step, release
from colornet.config import TrainConfig
from colornet.data import Dataset
from colornet.errors import InputError

__all__ = ["BATCH_CAP", "check_memory", "find_batch", "largest", "peak_memory", "read_peak"]

BATCH_CAP = 2**16  # no larger batch is tried
SMALLEST = 2  # BatchNorm may not like one image
STEPS = 2  # the second one has the moments of the optimizer beside it
STATUS = Path("/proc/self/status")  # Linux
_OVER_LIMIT = 3  # exit code of the fresh process
_LOOKS = 0.01  # seconds between its looks at its memory


def check_memory(options: ThroughputOptions, device: torch.device) -> None:
    """Raise `InputError` where the largest batch was asked for but nothing can say what fits."""
    if not options.find_batch or device.type == "cuda":
        return
    if options.memory_limit is None:
        raise InputError(
            "--find-batch on a CPU needs --memory-limit: a CPU's memory is not the step's alone, and what does not "
            "fit is swapped or killed instead of refused."
        )
    if not STATUS.exists():
        raise InputError("--find-batch on a CPU reads peaks from /proc, which only Linux has: leave it out here.")
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if options.memory_limit * 2**30 > installed:
        raise InputError(
            f"--memory-limit is {options.memory_limit:g}: it must be at most {installed / 2**30:.1f}, the GiB of "
            "memory of this machine."
        )


def find_batch(case: Case, options: ThroughputOptions) -> dict[str, Any]:
    """Search the largest batch size of a case; return it, None if not even two images fit, and all that was tried."""
    limit = None if options.memory_limit is None else int(options.memory_limit * 2**30)
    tries: dict[int, int | None] = {}

    with tqdm(desc=f"largest batch, {case.preset}", unit="try", disable=None) as bar:

        def fits(size: int) -> bool:
            bar.set_postfix_str(str(size))
            config = dataclasses.replace(case.config, batch_size=size)
            tries[size] = peak_memory(dataclasses.replace(case, config=config), limit)
            bar.update()
            return tries[size] is not None

        size = largest(fits, options.batch_granularity)
    return {
        "preset": case.preset,
        "precision": case.config.mixed_precision,
        "compile": case.config.compile == "on",
        "width": case.config.width,
        "batch_size": size,
        "peak_memory_bytes": tries[size] if size else None,
        "memory_limit_bytes": limit,
        "granularity": options.batch_granularity,
        "capped": size == BATCH_CAP,
        "tries": [{"batch_size": tried, "peak_memory_bytes": peak} for tried, peak in tries.items()],
    }


def largest(fits: Callable[[int], bool], granularity: int) -> int | None:
    """Return the largest batch size found to fit: powers of two, then multiples of `granularity` by bisection.

    None if not even the smallest does; `BATCH_CAP` if everything does.
    """
    good, size = None, SMALLEST
    while size <= BATCH_CAP and fits(size):
        good, size = size, 2 * size
    if good is None or size > BATCH_CAP:
        return good
    bad = size
    while (middle := (good + bad) // 2 // granularity * granularity) > good:
        if fits(middle):
            good = middle
        else:
            bad = middle
    return good


def peak_memory(case: Case, limit: int | None = None) -> int | None:
    """Measure the bytes that some steps of a case need at their peak; None if they are more than there are.

    `limit`, in bytes, is kept on CPUs, where None means any amount, and on GPUs beside the device's own.
    """
    peak = _peak_on_gpu(case) if case.device.type == "cuda" else _peak_of_fresh_process(case, limit)
    return None if peak is not None and limit is not None and peak > limit else peak


def _peak_on_gpu(case: Case) -> int | None:
    allocated = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    try:
        _run(case)
        peak: int | None = torch.cuda.max_memory_allocated() - allocated
    except torch.OutOfMemoryError:
        peak = None
    release()
    return peak


def _peak_of_fresh_process(case: Case, limit: int | None) -> int | None:
    request = {"preset": case.preset, "mode": case.mode, "config": dataclasses.asdict(case.config), "limit": limit}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.core.memory"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if done.returncode in (_OVER_LIMIT, -signal.SIGKILL):  # by itself, or by a kernel without memory
        return None
    if done.returncode:
        raise RuntimeError(f"The process that measures memory failed: {done.stderr.strip()}")
    return int(done.stdout)


def _run(case: Case) -> None:
    """Make steps on as many random images as the batch has: what they show changes no size."""
    size, side = case.config.batch_size, case.config.image_size
    images = torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8)
    step = build_step(case, Dataset("random", images, images[:1], images[:1], ""))
    for _ in range(STEPS):
        step()


def read_peak() -> int:
    """Return the most bytes of memory that this process has occupied so far."""
    line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _main() -> None:
    request = json.load(sys.stdin)
    limit = request.pop("limit")
    if limit is not None:
        threading.Thread(target=_end_over, args=(limit,), daemon=True).start()
    config = request.pop("config")
    case = Case(**request, config=TrainConfig(**{**config, "multipliers": tuple(config["multipliers"])}))
    try:
        _run(case)
    except RuntimeError as error:
        if "can't allocate memory" in str(error):
            sys.exit(_OVER_LIMIT)
        raise
    sys.stdout.write(str(read_peak()))


def _end_over(limit: int) -> None:
    """End this process, before the machine suffers, once it occupies more bytes than `limit`."""
    while read_peak() <= limit:
        time.sleep(_LOOKS)
    os._exit(_OVER_LIMIT)


if __name__ == "__main__":
    _main()
