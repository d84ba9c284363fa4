"""The tables of a quality result: its rows by kind, its columns by what they look at, the best models bold."""

from __future__ import annotations

import re
from typing import Literal

from benchmarks.core.record import KINDS, Record
from benchmarks.core.tables import Cell, Line, Table, format_mean, format_number

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
    """Lay out the rows by families of columns, then without near-duplicates; columns without values come last."""
    rows = ordered_rows(record)
    ordered = dict(sorted(record["columns"].items(), key=lambda item: item[1]["reason"] is not None))
    families: dict[str, Record] = {title: {} for title in _FAMILIES}
    for name, column in ordered.items():
        families[next(title for title, names in _FAMILIES.items() if names.match(name))][name] = column
    tables = [_quality_table(title, columns, rows) for title, columns in families.items() if columns]

    named = {name for row in rows for name in row.get("distinct") or ()}
    if named:
        left_out = record["data"].get("near_duplicates")
        images = "images" if left_out is None else f"{left_out:,} images"
        title = f"Without the {images} that have a near-duplicate among the training images"
        distinct = {name: column for name, column in ordered.items() if name in named}
        tables.append(_quality_table(title, distinct, rows, "distinct"))
    return tables


def _quality_table(title: str, columns: Record, rows: list[Record], part: Part = "values") -> Table:
    notes = list(dict.fromkeys(column["reason"] for column in columns.values() if column["reason"]))
    number = {name: notes.index(c["reason"]) + 1 if c["reason"] else None for name, c in columns.items()}
    best = {name: _best_models(name, column, rows, part) for name, column in columns.items()}
    headings = [Cell(""), *(Cell(c["label"], note=number[name], tip=c["about"]) for name, c in columns.items())]
    lines = []
    for row in rows:
        cells = []
        for name, column in columns.items():
            value, decimals = (row.get(part) or {}).get(name), column["decimals"]
            ends = [format_number(end, decimals) for end in (value or {}).get("interval") or ()]
            tip = f"95 % interval over images: {' to '.join(ends)}" if ends else ""
            note = number[name] if value is None else None
            cells.append(Cell(format_mean(value, decimals), row["name"] in best[name], note, tip))
        heading = Cell(row["name"], tip=row.get("about", ""))
        lines.append(Line(heading, cells, ranked=row["kind"] == "model", group=_KIND_NAMES[row["kind"]]))
    return Table(title, headings, lines, notes)


def _best_models(name: str, column: Record, rows: list[Record], part: Part) -> set[str]:
    """Name the best models of a column: several where its decimals do not tell them apart, none without a rival."""
    means = [(row["kind"], row["name"], mean_of(row, name, part)) for row in rows]
    target = next((mean for kind, _, mean in means if kind == "truth"), None)
    models = {model: mean for kind, model, mean in means if kind == "model" and mean is not None}
    if len(models) < 2:
        return set()
    if column["better"] == "truth" and target is not None:
        badness = {model: abs(mean - target) for model, mean in models.items()}
    elif column["better"] in ("lower", "higher"):
        sign = -1 if column["better"] == "higher" else 1
        badness = {model: sign * mean for model, mean in models.items()}
    else:
        return set()
    rounded = {model: round(value, column["decimals"]) for model, value in badness.items()}
    return {model for model, value in rounded.items() if value == min(rounded.values())}


def mean_of(row: Record, column: str, part: Part = "values") -> float | None:
    """Return the value of a row, the mean of its runs, if it has one."""
    value = (row.get(part) or {}).get(column)
    return value["mean"] if value else None
