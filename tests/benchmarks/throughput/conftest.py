"""A small measurement that the tests of throughput look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.core import timing
from benchmarks.core.record import Record
from tests.benchmarks.commands import run_command

TINY = ["--image-size", "16", "--width", "8", "--blocks", "1", "--precisions", "no", "--steps", "3", "--warmup", "1",
        "--notebook-steps", "1", "--no-memory", "--cpu"]  # fmt: skip


@pytest.fixture(scope="package", autouse=True)
def _small_peak() -> Iterator[None]:
    """Multiply small matrices for the peak: what is tested is its place in the record."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(timing.PEAK_SIDE, "cpu", 128)
        patch.setitem(timing.PEAK_CONVOLUTION, "cpu", (2, 16, 8))
        patch.setitem(timing.COPY_NUMBERS, "cpu", 2**16)
        yield


@pytest.fixture(scope="package")
def measured(_small_peak: None, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Measure two presets in a few steps and read the record back."""
    out = tmp_path_factory.mktemp("throughput") / "new" / "record.json"
    presets = ["--presets", "ae", "notebook-cgan", "--roofline"]
    return run_command(out, "throughput", *presets, "--batch-sizes", "16", "--data", str(folder), *TINY)
