"""Make one page of results: `python -m benchmarks report DIR… --out DIR`.

Reads the JSON files of `quality`, `ablation`, `speedrun`, `throughput` and `scaling` and the curves of runs wherever
they lie below the given folders, and writes `report.html`, a page that needs no other file and no network, and
`report.md`, its tables in Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.report.read import read_results
from colornet.command import exiting_on_errors
from colornet.errors import InputError
from colornet.files import replacing

__all__ = ["ReportConfig", "main"]

OUTPUTS = ("report.html", "report.md")


@dataclass(frozen=True)
class ReportConfig:
    """Which results are shown, and where."""

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]  # folders with results and runs, or JSON files
    out: Path  # folder for report.html and report.md; must not hold them yet


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write the report; mistakes of the user end in one sentence and exit code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(ReportConfig, args=arguments, prog="python -m benchmarks report", description=__doc__)
        check(config)
        results = read_results(config.inputs)
        # Imported only now: torch and matplotlib take seconds, which neither --help nor a mistake should cost.
        from benchmarks.report.page import write_page

        for name, text in zip(OUTPUTS, write_page(results), strict=True):
            with replacing(config.out / name) as path:
                path.write_text(text, encoding="utf-8")
        print(f"Written to {config.out}: {', '.join(OUTPUTS)}")


def check(config: ReportConfig) -> None:
    """Raise `InputError` for whatever can be seen to stop the report before a file is read."""
    if not config.inputs:
        raise InputError("No result is named: give at least one folder that holds some.")
    for path in config.inputs:
        if not path.exists():
            raise InputError(f"{path} does not exist: give folders or JSON files of results.")
    if config.out.exists() and not config.out.is_dir():
        raise InputError(f"--out {config.out} is a file: choose a folder.")
    for name in OUTPUTS:
        if (config.out / name).exists():
            raise InputError(f"--out {config.out} already holds a {name}: choose another folder or remove it.")
