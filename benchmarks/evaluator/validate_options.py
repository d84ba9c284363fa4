"""Validate evaluators before their numbers are believed: `python -m benchmarks validate --out DIR`.

Spoils the colors of the validation images step by step (gain, hue, share of images with another's colors) and
measures each evaluator's Fréchet distance to the images as they were, beside the rows that need no model and any runs.
A good evaluator's distance grows with each, puts nonsense behind honest colorings, and ranks as the others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.core.checks import check_alone, option
from colornet.config import load_config
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors

__all__ = ["ValidateOptions", "main"]


@dataclass(frozen=True)
class ValidateOptions:
    """Which evaluators are validated, on which images."""

    out: Path  # folder for validation.json and validation.png; must not hold them yet
    evaluators: tuple[Path, ...] = ()  # cifar10-NAME.json of other evaluators, beside the shipped ones
    runs: tuple[Path, ...] = ()  # runs whose colorings are to be ranked, too
    data: str = "cifar10"  # cifar10, or a folder with a copy of it
    images: int | None = None  # use that many validation images, evenly spaced (default: all)
    batch_size: int = 500  # images in a step
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and validate; mistakes of the user end in one sentence and exit code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(ValidateOptions, args=arguments, prog="python -m benchmarks validate", description=__doc__)
        check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.evaluator.validate import validate

        validate(config)


def check(config: ValidateOptions) -> None:
    """Raise `InputError` for whatever would stop the validation."""
    check_alone("evaluators are validated in one")
    for name in ("batch_size", "images"):
        value = getattr(config, name)
        if value is not None and value < 2:
            raise InputError(f"{option(name)} is {value}: it must be at least 2.")
    check_dataset(config.data)
    for run in config.runs:
        load_config(run)
    for card in config.evaluators:
        if not (card.is_file() and card.name.startswith("cifar10-") and card.suffix == ".json"):
            raise InputError(f"{card} is no evaluator: name a cifar10-NAME.json that `benchmarks evaluator` wrote.")
    if (config.out / "validation.json").exists():
        raise InputError(f"--out {config.out} already holds a validation: choose another folder or remove it.")
