"""One color per model over all plots of a report."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from benchmarks.core import plots
from benchmarks.core.record import Record, without_seed


class Colors:
    """Colors by the name of a model, in the order of the names; rows that are not models are gray.

    Args:
        rows: rows of quality records whose kind is "model"; their runs share their color.
        others: names of runs without their seed, and of presets.
    """

    def __init__(self, rows: Iterable[Record] = (), others: Iterable[str] = ()) -> None:
        models, palette = list(rows), itertools.cycle(plots.PALETTE)
        names = dict.fromkeys(row["name"].casefold() for row in models)
        self._colors: dict[str, str] = dict(zip(names, palette, strict=False))
        for row in models:
            for alias in aliases(row):
                self._colors.setdefault(alias, self(row["name"]))
        for name in map(str.casefold, others):
            if name not in self._colors:
                self._colors[name] = next(palette)

    def __call__(self, name: str) -> str:
        return self._colors.get(name.casefold(), plots.NEUTRAL)


def aliases(row: Record) -> set[str]:
    """Return the names by which others may know a row: its own, and its runs without their seed."""
    runs = (without_seed(Path(member).name) for member in row.get("members") or ())
    return {name.casefold() for name in (row["name"], *runs)}
