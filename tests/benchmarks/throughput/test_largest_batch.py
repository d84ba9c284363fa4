"""The largest batch that fits, and the memory of each row."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.core import memory
from benchmarks.core.steps import Case
from benchmarks.throughput.largest_batch import find_batch, largest
from tests.benchmarks.cases import case
from tests.benchmarks.commands import run_command
from tests.benchmarks.throughput.conftest import TINY


@pytest.mark.parametrize(
    ("room", "granularity", "found"),
    [
        (1, 64, None),
        (2, 64, 2),
        (5, 1, 5),
        (100, 64, 64),
        (100, 16, 96),
        (100, 20, 100),
        (191, 64, 128),
        (10**6, 64, 2**16),
    ],
)
def test_largest_batch_that_fits(room: int, granularity: int, found: int | None) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= room

    assert largest(fits, granularity) == found
    assert len(tried) == len(set(tried)) <= 30
    assert all(size in (2**n for n in range(17)) or size % granularity == 0 for size in tried)


def test_what_a_gpu_cannot_hold_is_tried_and_released(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[int] = []

    def run(case: Case) -> None:
        if case.config.batch_size > 100:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(memory, "_run", run)
    monkeypatch.setattr(memory, "release", lambda: released.append(1))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 10)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 30)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    found = find_batch(case("ae", "train", cpu=False), memory_limit=None, granularity=16)
    assert (found["batch_size"], found["peak_memory_bytes"], found["capped"]) == (96, 20, False)
    assert len(released) == len(found["tries"])
    assert {"batch_size": 128, "peak_memory_bytes": None} in found["tries"]


def test_record_holds_largest_batch_and_memory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "benchmarks.core.memory._peak_of_fresh_process", lambda case, limit: (100 + case.config.batch_size) * 2**20
    )
    options = ["--presets", "notebook-ae", "--batch-sizes", "4", "--data", str(folder), "--no-notebook-pipeline"]
    search = ["--find-batch", "--memory-limit", "0.25", "--batch-granularity", "8"]
    record = run_command(tmp_path / "a.json", "throughput", *options, *search, *TINY, "--memory")
    assert [row["peak_memory_bytes"] for row in record["rows"]] == [104 * 2**20] * 2
    assert [row["reason"] for row in record["rows"]] == [None, None]
    (found,) = record["largest_batches"]
    assert (found["preset"], found["batch_size"], found["memory_limit_bytes"]) == ("notebook-ae", 152, 2**28)
    assert (
        "| notebook-ae | fp32      | off     |           152 |        8 |        252 |       256 |"
        in capsys.readouterr().out
    )
