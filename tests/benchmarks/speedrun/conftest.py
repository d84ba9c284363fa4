"""A small speedrun that the tests of speedrun look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.core.record import Record
from benchmarks.speedrun import error
from tests.benchmarks.commands import run_command

TINY = ["--image-size", "16", "--width", "8", "--multipliers", "1", "2", "--blocks", "1", "--batch-size", "16",
        "--warmup-steps", "0", "--mixed-precision", "no", "--notebook-width", "8", "--cpu"]  # fmt: skip


@pytest.fixture(scope="package")
def record(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Race on 50 of 54 images: one epoch of the notebooks' network leaves a mark that ours passes within 60.

    One step of it is far behind its own input, so the margin is one that it keeps.
    """
    out = tmp_path_factory.mktemp("speedrun") / "new" / "record.json"
    options = ["--notebook-epochs", "1", "--seeds", "2", "--epochs", "60", "--eval-steps", "5", "--lr", "3e-3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(error, "MARGIN_DB", -30.0)
        found = run_command(out, "speedrun", *options, "--training-images", "50", "--data", str(folder), *TINY)
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    return found
