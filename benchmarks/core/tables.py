"""Tables of any kind: laid out once by the section that shows them, and written twice, as HTML and as Markdown."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from html import escape

__all__ = [
    "DASH",
    "Cell",
    "Line",
    "Table",
    "decimals_for",
    "escape_markdown",
    "format_number",
    "format_precision",
    "table_html",
    "table_markdown",
]

DASH = "–"


@dataclass(frozen=True)
class Cell:
    """A number as it is written; `note` is the number of the footnote that says why there is none, or more of it."""

    text: str
    bold: bool = False
    note: int | None = None
    tip: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table; what is not `ranked` is set apart from what is compared."""

    name: Cell
    cells: list[Cell]
    ranked: bool = True
    group: str = ""


@dataclass(frozen=True)
class Table:
    """A table before it is HTML or Markdown."""

    title: str
    headings: list[Cell]  # the first of them above the names
    lines: list[Line]
    notes: list[str] = field(default_factory=list)  # footnotes, numbered from 1


def format_number(value: float, decimals: int) -> str:
    """Write a number with a true minus sign and without a negative zero."""
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")


def decimals_for(value: float, digits: int = 3) -> int:
    """Return how many decimals show that many significant digits of a number that is not negative."""
    return max(0, digits - 1 - (math.floor(math.log10(value)) if value else 0))


def format_precision(precision: str | None) -> str:
    """Write a precision as people say it; a dash for None."""
    return {"no": "fp32", None: DASH}.get(precision) or str(precision)


def table_html(table: Table) -> str:
    """Write a table as HTML in a container that scrolls where it is too wide."""

    def cell(c: Cell, element: str = "td") -> str:
        mean, plus_minus, sd = c.text.partition(" ± ")
        text = escape(mean) + (f' <span class="sd">± {escape(sd)}</span>' if plus_minus else "")
        text = f"<strong>{text}</strong>" if c.bold else text
        tip = f' title="{escape(c.tip)}"' if c.tip else ""
        return f"<{element}{tip}>{text}{f'<sup>{c.note}</sup>' if c.note else ''}</{element.split()[0]}>"

    body, group = [], ""
    for line in table.lines:
        if line.group != group:
            group = line.group
            body.append(f'<tr class="group"><th colspan="{len(table.headings)}"><span>{escape(group)}</span></th></tr>')
        cells = cell(line.name, 'th scope="row"') + "".join(map(cell, line.cells))
        body.append(f"<tr{'' if line.ranked else ' class=apart'}>{cells}</tr>")
    head = "".join(cell(heading, 'th scope="col"') for heading in table.headings)
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    parts = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{parts}</div>' + (f'<ol class="notes">{notes}</ol>' if notes else "")


def table_markdown(table: Table) -> str:
    """Write a table as Markdown, what is set apart in italics."""

    def cell(c: Cell, mark: str = "") -> str:
        mark = "**" if c.bold else mark
        text = f"{mark}{escape_markdown(c.text)}{mark}" if c.text else ""
        return text + (f"<sup>{c.note}</sup>" if c.note else "")

    rows = [
        [cell(heading) for heading in table.headings],
        ["---", *["---:"] * (len(table.headings) - 1)],
        *([cell(line.name, "" if line.ranked else "*"), *map(cell, line.cells)] for line in table.lines),
    ]
    notes = [f"<sup>{number}</sup> {escape_markdown(note)}" for number, note in enumerate(table.notes, start=1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "".join(f"\n\n{note}" for note in notes)


def escape_markdown(text: str) -> str:
    """Write text that comes from files such that Markdown shows it as it is."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(text, quote=False)).replace("\n", " ")
