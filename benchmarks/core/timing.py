"""Durations and floating-point operations of steps, and the peak rates of a device."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

Step = Callable[[], object]

PEAK_SIDE = {"cuda": 8192, "cpu": 1024}  # side of the matrices that are multiplied for the peak
PEAK_CONVOLUTION = {"cuda": (256, 256, 32), "cpu": (16, 256, 16)}  # images, channels and side for it
PEAK_REPEATS = 30
COPY_NUMBERS = {"cuda": 2**28, "cpu": 2**26}  # float32 numbers copied for the bandwidth, more than any cache holds

# The names of the peaks and their data types. TF32 is a mode of GPUs since Ampere in which fp32 is multiplied.
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Stopwatch:
    """Wall-clock seconds of blocks, with the work of the device, and on a CPU the processor time of this process."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self.cpu_seconds: float | None = 0.0 if device.type == "cpu" else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of a block, after the device has finished its earlier work."""
        self._wait()
        started, worked = time.perf_counter(), time.process_time()
        yield
        self._wait()
        self.seconds += time.perf_counter() - started
        if self.cpu_seconds is not None:
            self.cpu_seconds += time.process_time() - worked

    def times(self) -> dict[str, float | None]:
        """Return the times so far under their names in a record."""
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def time_steps(step: Step, count: int, device: torch.device, *, warmup: int = 0) -> list[float]:
    """Make `warmup` untimed steps, then `count` without pause; return the seconds of each, on a GPU those of events."""
    for _ in range(warmup):
        step()
    if device.type == "cuda":
        events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        events[0].record()
        for event in events[1:]:
            step()
            event.record()
        torch.cuda.synchronize()
        return [start.elapsed_time(end) / 1000 for start, end in itertools.pairwise(events)]
    moments = [time.perf_counter()]
    for _ in range(count):
        step()
        moments.append(time.perf_counter())
    return [end - start for start, end in itertools.pairwise(moments)]


def spread(values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    """Return the median and the 10th and 90th percentiles of values under their names in a record."""
    p10, median, p90 = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    return {"median": median, "p10": p10, "p90": p90}


def flops_of(step: Step) -> int:
    """Make a step and count its floating-point operations, a multiply-add as two."""
    # Attention as plain products: fused kernels compute some of them twice, and the counter ignores those of CPUs.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        step()
    return counter.get_total_flops()


def peak_name(precision: str, device: torch.device) -> str:
    """Name the peak that a precision, "no", "bf16" or "fp16", is measured against; a key of `DTYPES`."""
    if precision != "no":
        return precision
    return "tf32" if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else "fp32"


def measure_peaks(precisions: Iterable[str], device: torch.device) -> dict[str, float]:
    """Measure the peaks, FLOP/s by name, that precisions, "no", "bf16" or "fp16", are compared with.

    The peak is the better of a matrix product and a convolution: on a CPU their libraries may use other instructions.
    """
    names = dict.fromkeys(peak_name(precision, device) for precision in precisions)
    return {name: max(matmul_peak(name, device), convolution_peak(name, device)) for name in names}


def matmul_peak(name: str, device: torch.device) -> float:
    """Measure the most FLOP/s that a product of two large square matrices reaches, in the type of that name."""
    side, settings = PEAK_SIDE[device.type], torch.backends.cuda.matmul
    a, b = torch.randn(2, side, side, device=device, dtype=DTYPES[name])
    before, settings.allow_tf32 = settings.allow_tf32, name == "tf32"
    try:
        durations = time_steps(lambda: a @ b, PEAK_REPEATS, device)
    finally:
        settings.allow_tf32 = before
    return 2 * side**3 / min(durations)


@torch.no_grad()
def convolution_peak(name: str, device: torch.device) -> float:
    """Measure the most FLOP/s that a large 3×3 convolution, channels last, reaches in the type of that name."""
    images, channels, side = PEAK_CONVOLUTION[device.type]
    options: dict[str, Any] = {"dtype": DTYPES[name], "device": device}
    x = torch.randn(images, channels, side, side, **options).to(memory_format=torch.channels_last)
    convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False, **options)
    convolution = convolution.to(memory_format=torch.channels_last)
    durations = time_steps(lambda: convolution(x), PEAK_REPEATS, device)
    return 2 * 9 * images * (channels * side) ** 2 / min(durations)


def copy_bandwidth(device: torch.device) -> float:
    """Measure the most bytes/s, read and written, at which a device copies a large tensor in its own memory."""
    source = torch.ones(COPY_NUMBERS[device.type], device=device)  # written: reserved memory alone is not read
    target = torch.ones_like(source)
    durations = time_steps(lambda: target.copy_(source), PEAK_REPEATS, device)
    return 2 * source.nbytes / min(durations)


def tf32_setting(precision: str, device: torch.device) -> str | None:
    """Say which fp32 arithmetic may use TF32; None where the precision is another or the device no GPU."""
    if precision != "no" or device.type != "cuda":
        return None
    names = {(True, True): "on", (True, False): "in convolutions", (False, True): "in matrix products"}
    return names.get((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32), "off")
