"""Kill trainings at random moments and resume them: `python -m benchmarks kills`.

Each training runs on 1, 2, 3 … processes of this machine until it has been killed often enough. In the end its weights,
moving average and moments of Adam are compared, bit by bit, with those of a training that was not interrupted; a
difference is exit code 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.checks import check_least, check_out
from benchmarks.core.presets import check_presets
from colornet.errors import InputError


@dataclass(frozen=True)
class KillsOptions:
    """How often and on how many processes to kill."""

    out: Path | None = None  # JSON file of the results; must not exist yet
    processes: tuple[int, ...] = (1, 2, 3)  # numbers of processes to train on
    kills: tuple[int, ...] = (20,)  # kills for each of them, or one number for all
    preset: str = "cgan"  # what is trained
    seed: int = 0  # of the moments


def check(options: KillsOptions) -> None:
    """Raise `InputError` for options that cannot be used."""
    check_least(options, processes=1, kills=0)
    if len(options.kills) not in (1, len(options.processes)):
        raise InputError(
            f"--kills has {len(options.kills)} numbers for {len(options.processes)} --processes: give one, or as many."
        )
    check_presets(options, "preset")
    check_out(options.out)
