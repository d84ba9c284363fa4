"""The memory that a case needs at its peak: of a fresh process on a CPU, of the allocator on a GPU."""

from __future__ import annotations

import os
import subprocess

import pytest
import torch

from benchmarks.core import memory
from tests.benchmarks.cases import case


def test_fresh_process_measures_the_batch_that_it_is_given() -> None:
    large = case("ae", "train", width=8, blocks=1, batch_size=512, mixed_precision="no")
    peak = memory.peak_memory(large)
    assert peak is not None
    activation = 512 * 32 * 32 * 8 * 4  # bytes of one of the largest; a step keeps more than ten, beside torch itself
    assert 100 * 2**20 + 10 * activation < peak < 130 * activation


def test_process_over_its_limit_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise SystemExit(code)

    peaks = iter([10, 20, 31])
    monkeypatch.setattr(memory, "read_peak", lambda: next(peaks))
    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(SystemExit, match="3"):
        memory._end_over(30)
    assert not list(peaks)


@pytest.mark.parametrize(("code", "peak"), [(0, 1234), (3, None), (-9, None)])
def test_end_of_the_fresh_process_says_what_it_found(
    code: int, peak: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], code, "1234", ""))
    assert memory.peak_memory(case("ae", "train"), limit=5000) == peak


def test_failure_of_the_fresh_process_is_no_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "it broke\n"))
    with pytest.raises(RuntimeError, match="measures memory failed: it broke"):
        memory.peak_memory(case("ae", "train"))


def test_peak_is_at_least_what_is_occupied() -> None:
    before = memory.read_peak()
    occupied = torch.ones(2**24)  # 64 MiB
    assert memory.read_peak() >= max(before, occupied.nbytes)
