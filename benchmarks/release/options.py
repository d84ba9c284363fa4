"""Make a released model of a finished run: `python -m benchmarks release runs/release/ae --name ae --out FOLDER`.

Writes the moving average at half precision, its configuration, origin and model card, and `release.json` with the
sha256 of the weights. A folder colornet/weights/NAME comes with the package, and `Colorizer.load(NAME)` finds it.
launch/release_weights.sh does all of it, training included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from colornet.config import TrainConfig, load_config
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors, printable

__all__ = ["ReleaseOptions", "check", "main"]


@dataclass(frozen=True)
class ReleaseOptions:
    """Which run becomes which released model."""

    run: Annotated[Path, tyro.conf.Positional]  # folder of the finished run
    name: Literal["ae", "cgan"]  # name of the released model
    out: Path  # folder for it; must not hold anything yet
    quality: Path | None = None  # quality.json of `python -m benchmarks quality`, for the card's results on test images
    data: str | None = None  # where the run's images are now (default: where they were in training)
    cache_dir: Path | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and release; mistakes of the user end in one sentence and exit code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(ReleaseOptions, args=arguments, prog="python -m benchmarks release", description=__doc__)
        trained = check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.release.package import release

        record = release(config, trained)
        print(
            printable(
                f"{config.out} is written: {record['bytes'] / 1e6:.1f} MB, sha256 {record['sha256']}. Its "
                f"colors differ from the run's by at most {record['levels']} of 255 levels."
            )
        )


def check(config: ReleaseOptions) -> TrainConfig:
    """Raise `InputError` for whatever can be known to go wrong, without importing torch; return the run's options."""
    trained = load_config(config.run)
    if not (config.run / "model.safetensors").is_file():
        raise InputError(f"{config.run} has no model.safetensors yet: train it to its end.")
    for name in ("provenance.json", "metrics.jsonl"):
        if not (config.run / name).is_file():
            raise InputError(f"{config.run} has no {name}, which the card needs: release the run itself, not a copy.")
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise InputError(f"--out {config.out} exists already: choose another folder or remove it.")
    if config.quality is not None and not config.quality.is_file():
        raise InputError(f"There is no file --quality {config.quality}: write it by `python -m benchmarks quality`.")
    check_dataset(config.data or trained.data)
    return trained
