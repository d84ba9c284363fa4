"""Validate the headline measures and their evaluator networks: `python -m benchmarks validate --out DIR`.

Changes the colors of the validation images step by step (gain, hue, share of images with another's colors) and
measures each evaluator's Fréchet distance to the unchanged images, and the other headline measures, beside the rows
that need no model and any runs. A good measure gets worse with each step and is worse for sanity-check baselines than
for honest colorings; good evaluators rank them alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.checks import check_least, check_out_folder
from benchmarks.evaluator.options import check_card
from colornet.data.listing import check_dataset
from colornet.runs.saved_config import load_config


@dataclass(frozen=True)
class ValidateOptions:
    """Which evaluators are validated, on which images."""

    out: Path  # folder for validation.json, validation.md and validation.png; must not hold them yet
    evaluators: tuple[Path, ...] = ()  # cifar10-NAME.json of other evaluators, beside the shipped ones
    runs: tuple[Path, ...] = ()  # runs whose colorings are to be ranked, too
    data: str = "cifar10"  # cifar10, or a folder with a copy of it
    images: int | None = None  # use that many validation images, evenly spaced; None: all
    batch_size: int = 500  # images in a step
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet


def check(options: ValidateOptions) -> None:
    """Raise `InputError` for invalid options."""
    check_least(options, batch_size=2, images=4)
    check_dataset(options.data)
    for run in options.runs:
        load_config(run)
    for card in options.evaluators:
        check_card(card)
    check_out_folder(options.out, ["validation.json", "validation.md", "validation.png"])
