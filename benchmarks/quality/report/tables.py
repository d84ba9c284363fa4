"""The tables of a quality result: rows by kind, columns by family, sepia colors."""

from __future__ import annotations

import functools
import re
from typing import Literal

from benchmarks.core.ranking import ranking_verdicts
from benchmarks.core.record import KINDS, Record, first_key
from benchmarks.core.sections import Block, Heading, Note, Verdicts, listed
from colornet.tables import Cell, Column, Line, Table, format_mean, format_number, table_of

Part = Literal["values", "distinct"]  # of a row: over all images, or without those that have a near-duplicate

# A table of quality with all columns at once would be wider than any screen: columns go by what they look at.
_FAMILIES = {
    "Distance between the distributions of images": re.compile(r"(fid|kid|fd|e|precision|recall)(_|$)"),
    "Colorfulness and recognizability": re.compile(r"cf$|delta_cf|w1_cf|accuracy"),
    "Colors, and whether they are sepia": re.compile(r"(mean_a|mean_b|chroma|colored|sepia)"),
    "Closeness to the one true image": re.compile(""),
}
_HEADLINE = (("e_cifar10_",), ("w1_cf",), ("accuracy_share", "accuracy"), ("precision_cifar10_",),
             ("recall_cifar10_",), ("ciede2000",), ("psnr",))  # fmt: skip
"""The columns of the first table: of each, the first of which a record has values; after `_`, any evaluator."""
_JSON_ONLY = ("delta_cf_image",)  # it ranks nothing: a dull model wins it
_JUDGING = re.compile(r"fid|fd_dinov2|e_(?!.*_train)\w+")  # columns by which data sets are judged
_KIND_NAMES = {
    "truth": "the truth",
    "floor": "floors, which every model must beat",
    "oracle": "oracles, which know the true colors",
    "sanity_check": "sanity checks, which a sound metric must rank below real models",
    "unranked": "unranked, since they start from another gray image",
    "model": "models",
}
_PALE = 0.75  # share of the truth's mean C* below which a model is called pale, and of which above 1 / it strong
_SEPIA = 10.0  # points of sepia among colored pixels by which it has to differ from the truth
_SEPIA_COLUMNS = ("chroma", "colored", "sepia_of_colored", "sepia", "mean_a", "mean_b")


def ordered_rows(record: Record) -> list[Record]:
    """Sort the rows of a quality result by their kind, the truth and the models first."""
    return sorted(record["rows"], key=lambda row: KINDS.index(row["kind"]))


def quality_tables(record: Record) -> list[Table]:
    """Lay out the headline columns, the others by families, and scores without near-duplicates.

    Columns without values come last in their table.
    """
    rows = ordered_rows(record)
    columns = {name: column for name, column in record["columns"].items() if name not in _JSON_ONLY}
    ordered = dict(sorted(columns.items(), key=lambda item: item[1]["reason"] is not None))
    headline = headline_columns(record)
    families: dict[str, Record] = {"Headline": {name: ordered.pop(name) for name in headline}}
    families |= {title: {} for title in _FAMILIES}
    for name, column in ordered.items():
        families[next(title for title, names in _FAMILIES.items() if names.match(name))][name] = column
    tables = [_quality_table(title, columns, rows) for title, columns in families.items() if columns]

    named = {name for row in rows for name in row.get("distinct") or ()}
    if named:
        left_out = record["data"].get("near_duplicates")
        images = "images" if left_out is None else f"{left_out:,} images"
        title = f"Without the {images} that have a near-duplicate among the training images"
        distinct = {name: column for name, column in columns.items() if name in named}
        tables.append(_quality_table(title, distinct, rows, "distinct"))
    return tables


def headline_columns(record: Record) -> list[str]:
    """Name the columns of the first table, in its order; older records lack some, and fall back on others."""
    measured = measured_columns(record)
    keys = [[first_key(measured, name) if name.endswith("_") else name for name in names] for names in _HEADLINE]
    known = [[key for key in names if key in measured] for names in keys]
    return [names[0] for names in known if names]


def ranking_blocks(record: Record) -> list[Block]:
    """Say by which headline distances sanity-check baselines beat models; empty where none does."""
    texts = []
    for name, column in record["columns"].items():
        if _JUDGING.fullmatch(name):
            values: dict[str, dict[str, float]] = {"sanity_check": {}, "model": {}}
            for row in record["rows"]:
                if row["kind"] in values and (mean := mean_of(row, name)) is not None:
                    values[row["kind"]][row["name"]] = mean
            texts += ranking_verdicts(
                record["data"]["name"], column["label"], values["sanity_check"], values["model"], column["decimals"]
            )
    return [Verdicts(texts)] if texts else []


def measured_columns(record: Record) -> dict[str, Record]:
    """Return the columns that tables show and in which a row has a value."""
    rows = record["rows"]
    return {
        name: column
        for name, column in record["columns"].items()
        if name not in _JSON_ONLY and any(mean_of(row, name) is not None for row in rows)
    }


def unmeasured(record: Record) -> list[Block]:
    """Say which columns have no values, and why; empty if all have some."""
    labels: dict[str, list[str]] = {}  # by reason
    for name, column in record["columns"].items():
        if column["reason"] and name not in measured_columns(record):
            labels.setdefault(column["reason"], []).append(column["label"])
    texts = [f"{listed(names)} ({reason.rstrip('.')})" for reason, names in labels.items()]
    return [Note(f"Not measured: {'; '.join(texts)}.")] if texts else []


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


def sepia_blocks(record: Record) -> list[Block]:
    """Lay out how strong and how sepia the colors of the models are, below the truth's; empty if unknown."""
    truth, rows = rows_with_hues(record)
    if truth is None:
        return []
    rule = f"Pale: C* below {100 * _PALE:g} % of the truth's. More sepia: of the colored pixels {_SEPIA:g} points more."
    columns = [Column("", "name"), Column("compared with the truth", "verdict", tip=rule, words=True)]
    for name in _SEPIA_COLUMNS:
        column = record["columns"][name]
        mean = functools.partial(format_mean, decimals=column["decimals"])
        columns.append(Column(column["label"], name, mean, tip=column["about"]))
    lines = [
        {"name": row["name"], "verdict": "" if row is truth else _verdict(row, truth), **row["values"]} for row in rows
    ]
    table = table_of("Strength and hue of the colors", columns, lines, ranked=lambda line: bool(line["verdict"]))
    return [Heading("Sepia, or merely pale?"), table]


def _verdict(row: Record, truth: Record) -> str:
    """Compare the strength and the hue of a row's colors with the truth's, in a few words."""
    chroma, sepia = mean_of(row, "chroma"), mean_of(row, "sepia_of_colored")
    true_chroma, true_sepia = mean_of(truth, "chroma"), mean_of(truth, "sepia_of_colored")
    if sepia is None or chroma is None or not true_chroma:
        return "no color"
    strength, more = chroma / true_chroma, sepia - (true_sepia or 0.0)
    words = [
        "pale" if strength < _PALE else "too strong" if strength > 1 / _PALE else "",
        "more sepia" if more > _SEPIA else "less sepia" if more < -_SEPIA else "",
    ]
    return " and ".join(filter(None, words)) or "like the truth"


def rows_with_hues(record: Record) -> tuple[Record | None, list[Record]]:
    """Return the truth, and it and the models with counted hues; None where there is nothing to compare."""
    rows = [row for row in ordered_rows(record) if row["kind"] in ("truth", "model") and row.get("hues")]
    truth = next((row for row in rows if row["kind"] == "truth"), None)
    return (truth if len(rows) > 1 and "sepia" in record["columns"] else None), rows
