"""Make a released model of a finished run: `python -m benchmarks release runs/release/ae --name ae --out FOLDER`.

Writes the moving average at half precision, its configuration, origin and model card, and `release.json` with the
sha256 of the weights. A folder colornet/weights/NAME comes with the package, and `Colorizer.load(NAME)` finds it.
launch/release_weights.sh does all of it, training included.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks.core.checks import check_file, check_new_folder
from colornet.data.listing import check_dataset
from colornet.errors import InputError
from colornet.runs.saved_config import load_config


@dataclass(frozen=True)
class ReleaseOptions:
    """Which run becomes which released model."""

    run: Annotated[Path, tyro.conf.Positional]  # folder of the finished run
    name: Literal["ae", "cgan"]  # name of the released model
    out: Path  # folder for it; must not hold anything yet
    quality: Path | None = None  # quality.json of `python -m benchmarks quality`, for the card's results on test images
    data: str | None = None  # where the run's images are now; None: where they were in training
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet


def check(options: ReleaseOptions) -> None:
    """Raise `InputError` for invalid options, without importing torch."""
    trained = load_config(options.run)
    if not (options.run / "model.safetensors").is_file():
        raise InputError(f"{options.run} has no model.safetensors yet: train it to its end.")
    for name in ("provenance.json", "metrics.jsonl"):
        if not (options.run / name).is_file():
            raise InputError(f"{options.run} has no {name}, which the card needs: release the run itself, not a copy.")
    check_new_folder("out", options.out)
    check_file(options.quality, "write it by `python -m benchmarks quality` and give its path to --quality")
    check_dataset(options.data or trained.data)
