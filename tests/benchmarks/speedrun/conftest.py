"""Small speedruns, to an error and to a quality, that the tests of speedrun look at."""

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


RECIPE = ("--width 8 --discriminator-width 8 --multipliers 1 2 --blocks 1 --batch-size 9 --warmup-steps 0 "
          "--mixed-precision no --epochs 3 --ema-decay 0.5 --lr 3e-3")  # fmt: skip
TO_QUALITY = ["--to-quality", "0.5", "--eval-images", "54", "--image-size", "16", "--cpu"]


@pytest.fixture(scope="package")
def race(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    """Train two recipes until e is 0.5, which takes two epochs of 54 images, and one that does not get there."""
    out = tmp_path_factory.mktemp("to-quality") / "record.json"
    recipes = [
        f"plain: ae {RECIPE}",
        f"adversarial: cgan {RECIPE} --batch-size 6",
        f"still: ae {RECIPE} --lr 1e-9",
    ]
    options = ["--recipes", *recipes, "--seeds", "2", "--data", str(folder)]
    return out, run_command(out, "speedrun", *TO_QUALITY, *options)
