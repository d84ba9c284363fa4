"""The part of a quality result about the hues of the models: whether they are sepia or pale."""

from __future__ import annotations

import functools

from benchmarks.core.colors import Colors
from benchmarks.core.plots import INK
from benchmarks.core.record import Record
from benchmarks.core.sections import Block, Figure, Figures, Heading, Note, PageOnly
from benchmarks.core.tables import Column, format_mean, table_of
from benchmarks.quality.report import color_plots
from benchmarks.quality.report.tables import mean_of, ordered_rows

_PALE = 0.75  # share of the truth's mean C* below which a model is called pale, and of which above 1 / it strong
_SEPIA = 10.0  # points of sepia among colored pixels by which it has to differ from the truth
_COLUMNS = ("chroma", "colored", "sepia_of_colored", "sepia", "mean_a", "mean_b")
_READING = (
    "First plot: colorfulness CF of the images; a box holds the middle half of them, its line is the median, whiskers "
    "reach over 90 %; dashed: the median of the real images. The others: pixels with C* > 5 by hue, as shares of all "
    "pixels; the outline is the real images', the gray band is sepia, hues from 40° to 90°. Where bars keep the shape "
    "of the outline but are lower, colors are pale; where they gather in the band, they are sepia. Of a model with "
    "several runs, the plots show the first."
)


def sepia_blocks(record: Record) -> list[Block]:
    """Lay out how strong and how sepia the colors of the models are, below the truth's; empty if unknown."""
    truth, rows = _rows(record)
    if truth is None:
        return []
    rule = f"Pale: C* below {100 * _PALE:g} % of the truth's. More sepia: of the colored pixels {_SEPIA:g} points more."
    columns = [Column("", "name"), Column("beside the truth", "verdict", tip=rule, words=True)]
    for name in _COLUMNS:
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


def hue_figures(record: Record, colors: Colors, source: str) -> list[Block]:
    """Draw boxes of the images' colorfulness and the hues of truth and models."""
    truth, rows = _rows(record)
    if truth is None:
        return []
    boxes = {
        row["name"]: ([*row["cf_quantiles"].values()], INK if row is truth else colors(row["name"])) for row in rows
    }
    size = record["data"]["images"] * record["data"]["image_size"] ** 2
    shares = {row["name"]: [count / size for count in row["hues"]] for row in rows}
    real = shares[truth["name"]]
    # Gray has none, and a row that has far more than the truth is cut off: the truth has to be seen.
    limit = min(max(map(max, shares.values())), 3 * max(real))
    figures = [Figure("CF of the images", [color_plots.boxes(boxes, f"Boxes of colorfulness in {source}")])]
    for name, share in shares.items():
        figures.append(Figure(name, [color_plots.hue_profile(share, real, limit, f"Hues of {name} in {source}")]))
    return [PageOnly([Note(_READING), Figures(figures)])]


def _rows(record: Record) -> tuple[Record | None, list[Record]]:
    """Return the truth, and it and the models with counted hues; None where there is nothing to compare."""
    rows = [row for row in ordered_rows(record) if row["kind"] in ("truth", "model") and row.get("hues")]
    truth = next((row for row in rows if row["kind"] == "truth"), None)
    return (truth if len(rows) > 1 and "sepia" in record["columns"] else None), rows
