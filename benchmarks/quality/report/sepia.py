"""The part of a quality result that asks which hues the models give: are they sepia, or merely pale?"""

from __future__ import annotations

from benchmarks.core.html import Colors, figure, grid, note
from benchmarks.core.plots import INK
from benchmarks.core.tables import DASH, Cell, Line, Table, table_html
from benchmarks.quality.report import color_plots as chroma
from benchmarks.quality.report.tables import format_value, mean_of, ordered_rows
from benchmarks.report.read import Record

__all__ = ["cast_html", "cast_table", "verdict"]

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


def verdict(row: Record, truth: Record) -> str:
    """Say in a word or two how strong and how sepia a row's colors are beside the truth's."""
    own, real = ({name: mean_of(one, name) for name in ("chroma", "sepia_of_colored")} for one in (row, truth))
    if own["sepia_of_colored"] is None or own["chroma"] is None or not real["chroma"]:
        return "no color"
    strength = own["chroma"] / real["chroma"]
    more = own["sepia_of_colored"] - (real["sepia_of_colored"] or 0.0)
    words = [
        "pale" if strength < _PALE else "too strong" if strength > 1 / _PALE else "",
        "more sepia" if more > _SEPIA else "less sepia" if more < -_SEPIA else "",
    ]
    return " and ".join(filter(None, words)) or "like the truth"


def cast_table(record: Record) -> Table | None:
    """Lay out how strong and how sepia the colors of the models are, below the truth's; None where nobody counted."""
    rows = [row for row in ordered_rows(record) if row["kind"] in ("truth", "model") and row.get("hues")]
    truth = next((row for row in rows if row["kind"] == "truth"), None)
    if truth is None or len(rows) < 2 or "sepia" not in record["columns"]:
        return None
    columns = {name: record["columns"][name] for name in _COLUMNS}
    lines = []
    for row in rows:
        values = [(row["values"].get(name), column) for name, column in columns.items()]
        cells = [Cell(DASH if value is None else format_value(value, column)) for value, column in values]
        said = Cell("" if row is truth else verdict(row, truth))
        lines.append(Line(Cell(row["name"]), [said, *cells], ranked=row is not truth))
    headings = ["", "beside the truth", *(column["label"] for column in columns.values())]
    rule = f"Pale: C* below {100 * _PALE:g} % of the truth's. More sepia: of the colored pixels {_SEPIA:g} points more."
    tips = ["", rule, *(column["about"] for column in columns.values())]
    return Table(
        "Sepia, or merely pale?", [Cell(text, tip=tip) for text, tip in zip(headings, tips, strict=True)], lines
    )


def cast_html(record: Record, colors: Colors, source: str) -> str:
    """Draw boxes of the images' colorfulness and the hues of truth and models, below the table."""
    table = cast_table(record)
    if table is None:
        return ""
    rows = [row for row in ordered_rows(record) if row["kind"] in ("truth", "model") and row.get("hues")]
    truth = next(row for row in rows if row["kind"] == "truth")
    boxes = [chroma.Box(row["name"], [*row["cf_quantiles"].values()], _color(row, colors)) for row in rows]
    size = record["data"]["images"] * record["data"]["image_size"] ** 2
    shares = {row["name"]: [count / size for count in row["hues"]] for row in rows}
    # Gray has none, and a row that has far more than the truth is cut off: the truth has to be seen.
    limit = min(max(map(max, shares.values())), 3 * max(shares[truth["name"]]))
    drawn = [
        figure(name, chroma.hue_profile(share, shares[truth["name"]], limit, f"Hues of {name} in {source}"))
        for name, share in shares.items()
    ]
    first = figure("CF of the images", chroma.boxes(boxes, f"Boxes of colorfulness in {source}"))
    return f"{table_html(table)}{note(_READING)}{grid([first, *drawn])}"


def _color(row: Record, colors: Colors) -> str:
    return INK if row["kind"] == "truth" else colors(row["name"])
