"""Make one page of results: `python -m benchmarks report DIR… --out DIR`.

Reads the JSON files of all benchmarks and the curves of runs below the given folders, and writes `report.html`, a page
that needs no other file and no network, and `report.md`, its tables in Markdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.core.checks import check_out_folder
from colornet.errors import InputError

OUTPUTS = ("report.html", "report.md")


@dataclass(frozen=True)
class ReportOptions:
    """Which results are shown, and where."""

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]  # folders with results and runs, or JSON files
    out: Path  # folder for report.html and report.md; must not hold them yet


def check(options: ReportOptions) -> None:
    """Raise `InputError` for inputs that do not exist and an output folder that holds a report."""
    if not options.inputs:
        raise InputError("No result is named: give at least one folder that holds some.")
    for path in options.inputs:
        if not path.exists():
            raise InputError(f"{path} does not exist: give folders or JSON files of results.")
    check_out_folder(options.out, OUTPUTS)
