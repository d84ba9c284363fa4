"""Tables of results: laid out once, and written twice, as HTML and as Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import Any

from benchmarks.report import KINDS

__all__ = [
    "escape_markdown",
    "flops_unit",
    "format_number",
    "format_value",
    "mean_of",
    "ordered_rows",
    "quality_tables",
    "table_html",
    "table_markdown",
    "throughput_table",
]

Record = dict[str, Any]

# A table of quality with all columns at once would be wider than any screen: columns go by what they look at.
_FAMILIES = {
    "Distance between the distributions of images": re.compile(r"(fid|kid|fd|e|precision|recall)(_|$)"),
    "Colourfulness and recognisability": re.compile(r"cf$|delta_cf|accuracy"),
    "Closeness to the one true image": re.compile(""),
}
_KIND_NAMES = {
    "truth": "the truth",
    "floor": "floors, which every model must beat",
    "oracle": "oracles, which know the true colours",
    "nonsense": "nonsense, which no good measure prefers",
    "unranked": "unranked, since they start from another grey image",
    "model": "models",
}
_DASH = "–"


@dataclass(frozen=True)
class Cell:
    """A number as it is written; `note` is the number of the footnote that says why there is none."""

    text: str
    best: bool = False
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


def ordered_rows(record: Record) -> list[Record]:
    """Sort the rows of a quality result by their kind, the truth first and the models last."""
    return sorted(record["rows"], key=lambda row: KINDS.index(row["kind"]))


def quality_tables(record: Record) -> list[Table]:
    """Lay out the rows of a quality result, one table a family of columns; columns without values come last."""
    families: dict[str, Record] = {title: {} for title in _FAMILIES}
    for name, column in sorted(record["columns"].items(), key=lambda item: item[1]["reason"] is not None):
        family = next(title for title, pattern in _FAMILIES.items() if pattern.match(name))
        families[family][name] = column
    rows = ordered_rows(record)
    return [_quality_table(title, columns, rows) for title, columns in families.items() if columns]


def _quality_table(title: str, columns: Record, rows: list[Record]) -> Table:
    notes = list(dict.fromkeys(column["reason"] for column in columns.values() if column["reason"]))
    number = {name: notes.index(c["reason"]) + 1 if c["reason"] else None for name, c in columns.items()}
    best = {name: best_rows(name, column, rows) for name, column in columns.items()}
    headings = [Cell(""), *(Cell(c["label"], note=number[name], tip=c["about"]) for name, c in columns.items())]
    lines = []
    for row in rows:
        cells = [
            _value_cell(row["values"].get(name), column, number[name], row["name"] in best[name])
            for name, column in columns.items()
        ]
        name = Cell(row["name"], tip=row.get("about", ""))
        lines.append(Line(name, cells, ranked=row["kind"] == "model", group=_KIND_NAMES[row["kind"]]))
    return Table(title, headings, lines, notes)


def best_rows(name: str, column: Record, rows: list[Record]) -> set[str]:
    """Name the best models of a column: several where its decimals do not tell them apart, none without a rival."""
    target = next((mean_of(row, name) for row in rows if row["kind"] == "truth"), None)
    models = {
        row["name"]: value for row in rows if row["kind"] == "model" and (value := mean_of(row, name)) is not None
    }
    better, decimals = column["better"], column["decimals"]
    if len(models) < 2 or better is None or (better == "truth" and target is None):
        return set()

    def badness(value: float) -> float:
        if better == "truth" and target is not None:
            value = abs(value - target)
        return round(-value if better == "higher" else value, decimals)

    least = min(map(badness, models.values()))
    return {model for model, value in models.items() if badness(value) == least}


def mean_of(row: Record, column: str) -> float | None:
    """Return the value of a row, the mean of its runs, if it has one."""
    value = row["values"].get(column)
    return value["mean"] if value else None


def format_value(value: Record, column: Record) -> str:
    """Write a mean, with its standard deviation if there is one, at the decimals of its column."""
    mean = format_number(value["mean"], column["decimals"])
    return mean if value.get("sd") is None else f"{mean} ± {format_number(value['sd'], column['decimals'])}"


def _value_cell(value: Record | None, column: Record, note: int | None, best: bool) -> Cell:
    if value is None:
        return Cell(_DASH, note=note)
    ends = [format_number(end, column["decimals"]) for end in value.get("interval") or ()]
    return Cell(
        format_value(value, column), best, tip=f"95 % interval over images: {' to '.join(ends)}" if ends else ""
    )


def flops_unit(record: Record) -> tuple[str, float]:
    """Choose the unit in which a device's FLOP/s read well: CPUs are far from a TFLOP/s."""
    return ("TFLOP/s", 1e12) if max((record.get("peak") or {"": 0.0}).values()) >= 1e12 else ("GFLOP/s", 1e9)


def throughput_table(record: Record) -> Table:
    """Lay out the rows of a throughput result below the seed pipeline that they are compared with."""
    reasons = list(dict.fromkeys(row["reason"] for row in record["rows"] if row.get("reason")))
    unit, flops = flops_unit(record)
    lines = [_throughput_line(row, reasons, flops) for row in record["rows"]]
    if seed := record.get("seed_pipeline"):
        first = {**seed, "preset": "seed pipeline", "mode": "train", "ratio_to_seed": 1.0}
        lines.insert(0, _throughput_line(first, reasons, flops, ranked=False))
    tips = {
        "ms a step": "Median, and in brackets the 10th and the 90th percentile.",
        "MFU": "Share of the device's measured peak of matrix products.",
        "compile s": "The first step of a compiled network, compilation included.",
        "× seed": "Images a second relative to the seed project's pipeline, measured in the same run.",
    }
    headings = ("preset", "mode", "batch", "precision", "compile", "images/s", "× seed", "ms a step", unit, "MFU",
                "peak memory", "compile s", "width", "parameters")  # fmt: skip
    return Table(record["device"], [Cell(name, tip=tips.get(name, "")) for name in headings], lines, reasons)


def _throughput_line(row: Record, reasons: list[str], flops: float, ranked: bool = True) -> Line:
    def number(key: str, decimals: int, unit: float = 1.0, suffix: str = "") -> str:
        value = row.get(key)
        return _DASH if value is None else format_number(value / unit, decimals) + suffix

    step = row.get("step_ms")
    times = "{} ({}–{})".format(*(format_number(step[key], 1) for key in ("median", "p10", "p90"))) if step else _DASH
    precision = {"no": "fp32", None: _DASH}.get(row.get("precision"), row.get("precision"))
    note = reasons.index(row["reason"]) + 1 if row.get("reason") else None
    return Line(
        Cell(row["preset"]),
        [
            Cell(row["mode"]),
            Cell(number("batch_size", 0)),
            Cell(f"{precision}, TF32 {row['tf32']}" if row.get("tf32") else str(precision)),
            Cell("on" if row.get("compile") else "off"),
            Cell(number("images_per_second", 0)),
            Cell(number("ratio_to_seed", 2)),
            Cell(times),
            Cell(number("achieved_flops", 1, flops)),
            Cell(number("mfu", 1, 0.01, " %")),
            Cell(number("peak_memory_bytes", 2, 2**30, " GiB"), note=note),
            Cell(number("compile_seconds", 1)),
            Cell(number("width", 0)),
            Cell(number("parameters", 1, 1e6, " M")),
        ],
        ranked,
    )


def table_html(table: Table) -> str:
    """Write a table as HTML in a container that scrolls where it is too wide."""

    def cell(c: Cell, element: str = "td") -> str:
        mean, plus_minus, sd = c.text.partition(" ± ")
        text = escape(mean) + (f' <span class="sd">± {escape(sd)}</span>' if plus_minus else "")
        text = f"<strong>{text}</strong>" if c.best else text
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
        mark = "**" if c.best else mark
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
