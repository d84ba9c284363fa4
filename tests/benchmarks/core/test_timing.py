"""What is timed and what a device could do at best."""

from __future__ import annotations

import time

import pytest
import torch

from benchmarks.core import timing
from benchmarks.core.timing import Stopwatch, copy_bandwidth, measure_peaks, peak_name, tf32_setting, time_steps
from tests.benchmarks.cases import CPU, GPU


@pytest.fixture(autouse=True)
def _small_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(timing.PEAK_SIDE, "cpu", 128)
    monkeypatch.setitem(timing.PEAK_CONVOLUTION, "cpu", (2, 16, 8))


def test_stopwatch_counts_what_runs_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, work = [0.0], [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: wall[0])
    monkeypatch.setattr(time, "process_time", lambda: work[0])
    watch = Stopwatch(CPU)
    for _ in range(2):
        with watch.running():
            wall[0] += 3
            work[0] += 2
        wall[0] += 7
        work[0] += 5
    assert watch.times() == {"seconds": 6, "cpu_seconds": 4}


def test_time_of_a_step() -> None:
    durations = time_steps(lambda: time.sleep(0.01), 3, CPU)
    assert len(durations) == 3
    assert all(0.01 <= duration < 1 for duration in durations)


def test_time_on_a_gpu_is_that_between_events(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.milliseconds = now[0]

        def elapsed_time(self, end: Event) -> float:
            return end.milliseconds - self.milliseconds

    def step() -> None:
        now[0] += 10 + now[0]

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert time_steps(step, 3, GPU) == pytest.approx([0.01, 0.02, 0.04])


def test_fp32_rows_on_a_gpu_say_whether_it_is_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for convolutions in (True, False):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", convolutions)
        found[convolutions] = tf32_setting("no", GPU), peak_name("no", GPU)
    assert found == {True: ("in convolutions", "tf32"), False: ("off", "fp32")}
    assert (tf32_setting("bf16", GPU), peak_name("bf16", GPU)) == (None, "bf16")
    assert (tf32_setting("no", CPU), peak_name("no", CPU)) == (None, "fp32")


def test_peaks_are_those_of_the_rows_and_of_the_notebook_pipeline() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    peaks = measure_peaks(["no", "bf16"], CPU)
    assert list(peaks) == ["fp32", "bf16"]
    assert min(peaks.values()) > 0
    assert torch.backends.cuda.matmul.allow_tf32 == before


def test_peak_is_the_better_of_product_and_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    for product, convolution in ((3.0, 5.0), (5.0, 3.0)):
        monkeypatch.setattr(timing, "matmul_peak", lambda *_, found=product: found)
        monkeypatch.setattr(timing, "convolution_peak", lambda *_, found=convolution: found)
        assert measure_peaks(["no"], CPU) == {"fp32": 5.0}


def test_peak_of_a_convolution_counts_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    def count(step: timing.Step, *_: object) -> list[float]:
        counted.append(timing.flops_of(step))
        return [0.5, 0.25]

    monkeypatch.setattr(timing, "time_steps", count)
    assert timing.convolution_peak("bf16", CPU) == counted[0] / 0.25


def test_bandwidth_counts_what_is_read_and_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(timing.COPY_NUMBERS, "cpu", 1000)
    monkeypatch.setattr(timing, "time_steps", lambda step, *_: (step(), [0.5, 0.25])[1])
    assert copy_bandwidth(CPU) == 2 * 4000 / 0.25
