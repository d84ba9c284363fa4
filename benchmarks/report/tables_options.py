"""Write the tables of the documents from the committed results: `python -m benchmarks tables`.

A table of a document is between two comments, of which the first names its results:

    <!-- table: cifar10-jpeg-cpu-quality
    columns: e; CF; PSNR
    rows: real; gray; ae; cgan -->
    <!-- end -->

`columns` and `rows` select parts of a table, `title` selects one of several tables; a `*` in the name joins the rows of
several results.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from colornet.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class TablesOptions:
    """Which documents to update, and from which results."""

    pages: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()  # Markdown files; if none, all of the project
    results: Path = ROOT / "benchmarks" / "results"  # folder of the JSON files
    check: bool = False  # write nothing; exit with code 1 if a table is outdated


def check(options: TablesOptions) -> None:
    """Raise `InputError` for documents and results that do not exist."""
    for path in (*options.pages, options.results):
        if not path.exists():
            raise InputError(f"{path} does not exist: give Markdown files, and with --results the folder of results.")
