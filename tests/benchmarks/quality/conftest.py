"""The comparison that the tests of `quality` look at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colornet.training.build import compose_trainer
from tests.benchmarks.quality.comparison import Comparison, compare
from tests.conftest import small


@pytest.fixture(scope="session")
def comparison(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Compare two seeds of the AE and one notebook-AE, trained for an epoch on 54 images of 16 × 16 pixels."""
    root = tmp_path_factory.mktemp("quality")
    cache = root / "cache"
    runs = []
    for preset, seed in (("ae", 0), ("ae", 1), ("notebook-ae", 0)):
        run = root / f"{preset}-{seed}"
        compose_trainer(small(preset, folder, run, epochs=1, seed=seed, cache_dir=str(cache))).fit()
        runs.append(run)
    out = root / "out"
    printed = compare(*runs, "--out", out, "--cpu", "--cache-dir", cache)
    return Comparison(out, json.loads((out / "quality.json").read_text()), printed, runs, cache)
