"""The largest batch that fits in the memory of a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from benchmarks.core.memory import STATUS, host_memory, peak_memory
from benchmarks.core.record import Record
from benchmarks.core.steps import Case
from colornet.bar import Bar
from colornet.errors import InputError

BATCH_CAP = 2**16  # no larger batch is tried
SMALLEST = 2  # BatchNorm needs more than one image


def check_memory(device: torch.device, memory_limit: float | None) -> None:
    """Raise `InputError` where nothing can tell whether a batch fits; `memory_limit` is in GiB."""
    if device.type == "cuda":
        return
    if memory_limit is None:
        raise InputError(
            "--find-batch on a CPU needs --memory-limit: a CPU's memory is not the step's alone, and what does not "
            "fit is swapped or killed instead of refused."
        )
    if not STATUS.exists():
        raise InputError("--find-batch on a CPU reads peaks from /proc, which only Linux has: leave it out here.")
    if memory_limit > (most := host_memory() / 2**30):
        raise InputError(
            f"--memory-limit is {memory_limit:g}: it must be at most {most:.1f}, the GiB of memory of this machine."
        )


def find_batch(case: Case, memory_limit: float | None, granularity: int) -> Record:
    """Search the largest batch size of a case; `memory_limit` is in GiB, `granularity` in images.

    Returns it, None if not even two images fit, and all sizes that were tried.
    """
    limit = None if memory_limit is None else int(memory_limit * 2**30)
    tries: dict[int, int | None] = {}
    with Bar(desc=f"largest batch, {case.preset}", unit="try") as bar:

        def fits(size: int) -> bool:
            bar.set_postfix_str(str(size))
            config = dataclasses.replace(case.config, batch_size=size)
            tries[size] = peak_memory(dataclasses.replace(case, config=config), limit)
            bar.update()
            return tries[size] is not None

        size = largest(fits, granularity)
    return {
        "preset": case.preset,
        "precision": case.config.mixed_precision,
        "compile": case.config.compile == "on",
        "width": case.config.width,
        "batch_size": size,
        "peak_memory_bytes": tries[size] if size else None,
        "memory_limit_bytes": limit,
        "granularity": granularity,
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
