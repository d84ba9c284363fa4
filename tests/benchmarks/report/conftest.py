"""A report of quality, throughput and runs, which the tests of several sections look at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.report.records import make, quality_record, throughput_record, write_quality, write_run


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    write_quality(root, quality_record())
    (root / "throughput.json").write_text(json.dumps(throughput_record()))
    for run, cf in (("ae-0", 13.0), ("ae-1", 13.4), ("cgan-0", 24.8)):
        write_run(root / "runs" / run, cf)
    (root / "other.json").write_text("[1, 2]")
    return root


@pytest.fixture(scope="session")
def written(results: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make(results, tmp_path_factory.mktemp("out"))
