"""Run a benchmark's command as a user does, and look at what it writes, refuses and shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.core.colors import Colors
from benchmarks.core.record import Record
from benchmarks.core.sections import Block, Figures
from colornet.tables import Table

__all__ = ["cells", "colors", "drawings", "refused", "run_command", "table"]


def run_command(out: Path, *arguments: str) -> Record:
    """Run a command that writes its record to `out`; return the record as it was written."""
    main([*arguments, "--out", str(out)])
    record: Record = json.loads(out.read_text(encoding="utf-8"))
    return record


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must end with exit code 2; return what it says."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    return capsys.readouterr().err


def table(blocks: Sequence[Block], title: str) -> Table:
    """Find the one table whose title begins so."""
    (found,) = (block for block in blocks if isinstance(block, Table) and block.title.startswith(title))
    return found


def cells(shown: Table) -> dict[str, dict[str, str]]:
    """Read a table: row, heading, text; rows must have different names."""
    heads = [heading.text for heading in shown.headings[1:]]
    rows = {line.name.text: dict(zip(heads, (cell.text for cell in line.cells), strict=True)) for line in shown.lines}
    assert len(rows) == len(shown.lines)
    return rows


def drawings(blocks: Sequence[Block]) -> dict[str, str]:
    """Collect the drawings of figures, SVG, by their captions."""
    figures = (figure for block in blocks if isinstance(block, Figures) for figure in block.figures)
    return {figure.caption: "".join(figure.drawings) for figure in figures}


def colors() -> Colors:
    """Return the colors of a page that compares no models."""
    return Colors(others=["ae", "cgan"])
