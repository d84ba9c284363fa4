"""The one `Table` and the one set of number formats: terminal, Markdown and HTML show the same cells."""

from __future__ import annotations

import itertools
import math
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, Literal

from colornet.errors import printable

DASH = "–"
_ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}  # after a heading: which values are better


@dataclass(frozen=True)
class Cell:
    """A value as it is shown; `note` is the number of the footnote that explains it, `tip` is its tooltip in HTML."""

    text: str
    bold: bool = False
    note: int | None = None
    tip: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table; one that is not `ranked`, such as a baseline, is set apart. A `group` of rows has a title."""

    name: Cell
    cells: Sequence[Cell]
    ranked: bool = True
    group: str = ""


def line_of(name: str, *texts: str, ranked: bool = True, group: str = "") -> Line:
    """Return a row of plain texts."""
    return Line(Cell(name), [*map(Cell, texts)], ranked, group)


@dataclass(frozen=True)
class Table:
    """Rows of cells below headings, the first of which stands above the names; footnotes are numbered from 1.

    `words` are the columns whose cells are words, by the text of their headings: they are aligned left. `groups` is the
    heading of the column in which text and Markdown show the groups of lines; without it they do not.
    """

    title: str
    headings: Sequence[Cell]
    lines: Sequence[Line]
    notes: Sequence[str] = field(default_factory=list)
    words: frozenset[str] = frozenset()
    groups: str = ""

    def to_text(self) -> str:
        """Return the table for a terminal: Markdown with padded columns, without its title."""
        rows = [[plain(cell.text) + (f" [{cell.note}]" if cell.note else "") for cell in row] for row in self._rows()]
        columns = []
        for index, texts in enumerate(zip(*rows, strict=True)):
            width, is_left = max(3, *map(len, texts)), self._is_left(index)
            head, *body = (text.ljust(width) if is_left else text.rjust(width) for text in texts)
            columns.append([head, "-" * width if is_left else "-" * (width - 1) + ":", *body])
        lines = [f"| {' | '.join(row)} |" for row in zip(*columns, strict=True)]
        return "\n".join(lines + [f"[{number}] {plain(note)}" for number, note in enumerate(self.notes, start=1)])

    def to_markdown(self) -> str:
        """Return the table as Markdown without its title; the names of unranked rows are in italics."""
        heads, *rows = [[_markdown(cell) for cell in row] for row in self._rows()]
        place = 1 if self.groups else 0
        for row, line in zip(rows, self.lines, strict=True):
            row[place] = _markdown(line.name, "" if line.ranked else "*")
        rule = ["---" if self._is_left(index) else "---:" for index in range(len(heads))]
        notes = [f"<sup>{number}</sup> {escape_markdown(note)}" for number, note in enumerate(self.notes, start=1)]
        lines = [f"| {' | '.join(row)} |" for row in (heads, rule, *rows)]
        return "\n".join(lines) + "".join(f"\n\n{note}" for note in notes)

    def without_empty_columns(self) -> Table:
        """Return the table without the columns in which no line has a value, and without their footnotes.

        Columns whose cells, but not their heading, have footnotes are kept: they say why there is no value.
        """
        keep = [True]
        for heading, *cells in zip(self.headings[1:], *(line.cells for line in self.lines), strict=True):
            explained = heading.note is None and any(cell.note for cell in cells)
            keep.append(explained or not cells or any(cell.text not in ("", DASH) for cell in cells))
        rows = [self.headings, *([line.name, *line.cells] for line in self.lines)]
        kept = {cell.note for row in rows for cell in itertools.compress(row, keep)}
        dropped = {cell.note for row in rows for cell in row} - kept
        notes = {old: note for old, note in enumerate(self.notes, start=1) if old not in dropped}
        numbers = {old: new for new, old in enumerate(notes, start=1)}

        def chosen(row: Sequence[Cell]) -> list[Cell]:
            return [replace(cell, note=numbers.get(cell.note or 0)) for cell in itertools.compress(row, keep)]

        headings, *bodies = map(chosen, rows)
        lines = [replace(ln, name=body[0], cells=body[1:]) for ln, body in zip(self.lines, bodies, strict=True)]
        return replace(self, headings=headings, lines=lines, notes=[*notes.values()])

    def _rows(self) -> list[list[Cell]]:
        """Return the headings and the rows, with the groups in front: the name of each in its first row."""
        rows = [[*self.headings], *([line.name, *line.cells] for line in self.lines)]
        if self.groups:
            names = [self.groups, *(line.group for line in self.lines)]
            for row, name, above in zip(rows, names, ("", *names[:-1]), strict=True):
                row.insert(0, Cell("" if name == above else name))
        return rows

    def _is_left(self, index: int) -> bool:
        index -= 1 if self.groups else 0
        return index <= 0 or self.headings[index].text in self.words


def _markdown(cell: Cell, mark: str = "") -> str:
    mark = "**" if cell.bold else mark
    text = f"{mark}{escape_markdown(cell.text)}{mark}" if cell.text else ""
    return text + (f"<sup>{cell.note}</sup>" if cell.note else "")


@dataclass(frozen=True)
class Column:
    """A column of `table_of`.

    Args:
        heading: the text above it.
        value: key of its value in a row, or a function of the row; a value that is a `Cell` is taken unchanged.
        format: decimals of a number, or a function that turns the value into text.
        unit: what a number is divided by before it is formatted.
        tip: tooltip of the heading.
        words: the cells are words, which are aligned left.
        missing: what stands for a value that is None or not in the row.
        note: key, in a row, of the sentence that is the footnote of the cell; None and no such key: no footnote.
        better: which values are better, shown as an arrow after the heading.
    """

    heading: str
    value: str | Callable[[Any], Any]
    format: int | Callable[[Any], str] = str
    unit: float = 1.0
    tip: str = ""
    words: bool = False
    missing: str = DASH
    note: str = ""
    better: Literal["higher", "lower", None] = None

    @property
    def title(self) -> str:
        """The heading with its arrow."""
        return self.heading + _ARROWS[self.better]

    def text(self, value: Any) -> str:
        """Format a value."""
        if value is None:
            return self.missing
        if isinstance(self.format, int):
            return format_number(value, self.format, self.unit)
        return self.format(value if self.unit == 1.0 else value / self.unit)


def table_of(
    title: str,
    columns: Sequence[Column],
    rows: Iterable[Any],
    *,
    ranked: Callable[[Any], bool] = lambda row: True,
    bold: Callable[[Any], bool] = lambda row: False,
    group: Callable[[Any], str] = lambda row: "",
    groups: str = "",
) -> Table:
    """Return a table with a line for each row, a mapping; the first column has the names of the lines.

    Functions of a row tell the `ranked` and the `group` of its line, and whether its cells are `bold`; footnotes that
    say the same share a number.
    """
    notes: list[str] = []
    lines = []
    for row in rows:
        cells = []
        for column in columns:
            value = column.value(row) if callable(column.value) else row.get(column.value)
            note = row.get(column.note)
            if note and note not in notes:
                notes.append(note)
            number = notes.index(note) + 1 if note else None
            cells.append(value if isinstance(value, Cell) else Cell(column.text(value), bold(row), number))
        lines.append(Line(cells[0], cells[1:], ranked(row), group(row)))
    words = frozenset(column.title for column in columns if column.words)
    return Table(title, [Cell(column.title, tip=column.tip) for column in columns], lines, notes, words, groups)


def without_arrow(heading: str) -> str:
    """Return a heading without the arrow that says which values are better."""
    return heading.rstrip("".join(filter(None, _ARROWS.values())))


# Numbers


def format_number(value: float | None, decimals: int, unit: float = 1.0) -> str:
    """Format a number, in multiples of `unit`, with a true minus sign and without a negative zero; a dash for None."""
    if value is None:
        return DASH
    return f"{round(value / unit, decimals) + 0.0:,.{decimals}f}".replace("-", "−")


def decimals_for(value: float, digits: int = 3) -> int:
    """Return how many decimals show that many significant digits of a number that is not negative."""
    return max(0, digits - 1 - (math.floor(math.log10(value)) if value else 0))


def format_digits(value: float | None, digits: int = 3, unit: float = 1.0) -> str:
    """Format a number that is not negative with that many digits, or all of its integer part; a dash for None."""
    return DASH if value is None else format_number(value / unit, decimals_for(value / unit, digits))


def format_percent(share: float | None, decimals: int = 0) -> str:
    """Format a share as a percentage; a dash for None."""
    return DASH if share is None else f"{format_number(100 * share, decimals)} %"


def format_spread(values: Mapping[str, float], decimals: int) -> str:
    """Format a median with its 10th and 90th percentiles, keys "median", "p10" and "p90"."""
    return "{} ({}–{})".format(*(format_number(values[key], decimals) for key in ("median", "p10", "p90")))


def format_mean(value: Mapping[str, Any] | None, decimals: int) -> str:
    """Format a mean with its standard deviation if it has one, keys "mean" and "sd"; a dash for None."""
    if value is None:
        return DASH
    mean = format_number(value["mean"], decimals)
    return mean if value.get("sd") is None else f"{mean} ± {format_number(value['sd'], decimals)}"


def format_values(values: Sequence[float], decimals: int) -> str:
    """Format the mean of values, with their standard deviation (n − 1) if they are several."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return format_mean({"mean": statistics.mean(values), "sd": sd}, decimals)


def format_precision(precision: str | None) -> str:
    """Name a mixed precision, where "no" is fp32; a dash for None."""
    return {"no": "fp32", None: DASH}.get(precision) or str(precision)


def escape_markdown(text: str) -> str:
    """Escape text so that Markdown shows it unchanged, on one line."""
    text = escape(plain(text), quote=False)
    text = re.sub(r"([\\`*_~$\[\]|])", r"\\\1", text)
    return re.sub(r"^(\s*)([#+=-]|\d+[.)](?=\s|$))", r"\1\\\2", text)


def plain(text: str) -> str:
    """Return a text that a terminal or a page shows without interpreting it, on one line, whatever its length."""
    return printable(text.replace("\n", " "), sys.maxsize)
