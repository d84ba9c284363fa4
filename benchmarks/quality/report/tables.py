"""The tables of a quality result: its rows by kind, its columns by what they look at, the best models bold."""

from __future__ import annotations

import re
from typing import Literal

from benchmarks.core.record import KINDS, Record
from benchmarks.core.tables import DASH, Cell, Line, Table, format_mean, format_number

Part = Literal["values", "distinct"]  # of a row: over all images, or without those that have a near-duplicate

# A table of quality with all columns at once would be wider than any screen: columns go by what they look at.
_FAMILIES = {
    "Distance between the distributions of images": re.compile(r"(fid|kid|fd|e|precision|recall)(_|$)"),
    "Colorfulness and recognizability": re.compile(r"cf$|delta_cf|accuracy"),
    "Colors, and whether they are sepia": re.compile(r"(mean_a|mean_b|chroma|colored|sepia)"),
    "Closeness to the one true image": re.compile(""),
}
_KIND_NAMES = {
    "truth": "the truth",
    "floor": "floors, which every model must beat",
    "oracle": "oracles, which know the true colors",
    "sanity_check": "sanity checks, which a sound metric must rank below real models",
    "unranked": "unranked, since they start from another gray image",
    "model": "models",
}


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
    tables = [_quality_table(title, columns, rows) for title, columns in families.items() if columns]
    return [*tables, *_distinct_table(record, rows)]


def _distinct_table(record: Record, rows: list[Record]) -> list[Table]:
    """Lay out what was measured once more without near-duplicates of training images, if it was."""
    names = {name for row in rows for name in row.get("distinct") or ()}
    columns = {name: column for name, column in record["columns"].items() if name in names}
    columns = dict(sorted(columns.items(), key=lambda item: item[1]["reason"] is not None))
    left_out = record["data"].get("near_duplicates")
    images = "images" if left_out is None else f"{left_out:,} images"
    title = f"Without the {images} that have a near-duplicate among the training images"
    return [_quality_table(title, columns, rows, "distinct")] if columns else []


def _quality_table(title: str, columns: Record, rows: list[Record], part: Part = "values") -> Table:
    notes = list(dict.fromkeys(column["reason"] for column in columns.values() if column["reason"]))
    number = {name: notes.index(c["reason"]) + 1 if c["reason"] else None for name, c in columns.items()}
    best = {name: best_rows(name, column, rows, part) for name, column in columns.items()}
    headings = [Cell(""), *(Cell(c["label"], note=number[name], tip=c["about"]) for name, c in columns.items())]
    lines = []
    for row in rows:
        cells = [
            _value_cell((row.get(part) or {}).get(name), column, number[name], row["name"] in best[name])
            for name, column in columns.items()
        ]
        name = Cell(row["name"], tip=row.get("about", ""))
        lines.append(Line(name, cells, ranked=row["kind"] == "model", group=_KIND_NAMES[row["kind"]]))
    return Table(title, headings, lines, notes)


def best_rows(name: str, column: Record, rows: list[Record], part: Part) -> set[str]:
    """Name the best models of a column: several where its decimals do not tell them apart, none without a rival."""
    target = next((mean_of(row, name, part) for row in rows if row["kind"] == "truth"), None)
    models = {
        row["name"]: value for row in rows if row["kind"] == "model" and (value := mean_of(row, name, part)) is not None
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


def mean_of(row: Record, column: str, part: Part = "values") -> float | None:
    """Return the value of a row, the mean of its runs, if it has one."""
    value = (row.get(part) or {}).get(column)
    return value["mean"] if value else None


def _value_cell(value: Record | None, column: Record, note: int | None, best: bool) -> Cell:
    if value is None:
        return Cell(DASH, note=note)
    ends = [format_number(end, column["decimals"]) for end in value.get("interval") or ()]
    tip = f"95 % interval over images: {' to '.join(ends)}" if ends else ""
    return Cell(format_mean(value, column["decimals"]), best, tip=tip)
