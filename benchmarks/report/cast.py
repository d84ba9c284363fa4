"""The part of a quality result that asks which hues the models give: are they sepia, or merely pale?"""

from __future__ import annotations

from html import escape

from benchmarks.report import chroma
from benchmarks.report.parts import Colors, figure, grid, note
from benchmarks.report.plots import INK
from benchmarks.report.quality_tables import mean_of, ordered_rows
from benchmarks.report.results import Record
from benchmarks.report.tables import format_number

__all__ = ["cast_html", "verdict"]

_PALE = 0.75  # share of the truth's mean C* below which a model is called pale, and of which above 1 / it strong
_SEPIA = 10.0  # points of sepia among coloured pixels by which it has to differ from the truth
_READING = (
    "First plot: colourfulness CF of the images; a box holds the middle half of them, its line is the median, whiskers "
    "reach over 90 %; dashed: the median of the real images. The others: pixels with C* > 5 by hue, as shares of all "
    "pixels; the outline is the real images', the grey band is sepia, hues from 40° to 90°. Where bars keep the shape "
    "of the outline but are lower, colours are pale; where they gather in the band, they are sepia. Of a model with "
    "several runs, the plots show the first and the sentences the mean."
)


def verdict(row: Record, truth: Record) -> str:
    """Say in a sentence how strong and how sepia a row's colours are beside the truth's, with the numbers."""
    names = ("chroma", "sepia_of_colored", "sepia", "mean_a", "mean_b")
    own, real = ({name: mean_of(one, name) for name in names} for one in (row, truth))
    if own["sepia_of_colored"] is None or own["chroma"] is None or not real["chroma"]:
        return "no pixel has a colour."
    strength = own["chroma"] / real["chroma"]
    words = "pale" if strength < _PALE else "too strong" if strength > 1 / _PALE else "about as strong as the real ones"
    more = own["sepia_of_colored"] - (real["sepia_of_colored"] or 0.0)
    cast = "more sepia than they" if more > _SEPIA else "less sepia than they" if more < -_SEPIA else "no more sepia"
    shown = {name: tuple(format_number(value or 0.0, 1) for value in (own[name], real[name])) for name in names}
    return (
        f"{words} (mean C* {shown['chroma'][0]}, real {shown['chroma'][1]}) and {cast}: of the coloured pixels "
        f"{shown['sepia_of_colored'][0]} % are sepia, real {shown['sepia_of_colored'][1]} %; of all pixels "
        f"{shown['sepia'][0]} %, real {shown['sepia'][1]} %. Mean a*, b*: {shown['mean_a'][0]}, {shown['mean_b'][0]}; "
        f"real {shown['mean_a'][1]}, {shown['mean_b'][1]}."
    )


def cast_html(record: Record, colors: Colors, source: str) -> str:
    """Draw boxes of the images' colourfulness and the hues of truth and models, below a sentence on each model."""
    rows = [row for row in ordered_rows(record) if row["kind"] in ("truth", "model") and row.get("hues")]
    truth = next((row for row in rows if row["kind"] == "truth"), None)
    if truth is None or len(rows) < 2 or "sepia" not in record["columns"]:
        return ""
    said = "".join(f"<li>{escape(row['name'])}: {escape(verdict(row, truth))}</li>" for row in rows if row is not truth)
    boxes = [chroma.Box(row["name"], [*row["cf_quantiles"].values()], _color(row, colors)) for row in rows]
    size = record["data"]["images"] * record["data"]["image_size"] ** 2
    shares = {row["name"]: [count / size for count in row["hues"]] for row in rows}
    # Grey has none, and a row that has far more than the truth is cut off: the truth has to be seen.
    limit = min(max(map(max, shares.values())), 3 * max(shares[truth["name"]]))
    drawn = [
        figure(name, chroma.hue_profile(share, shares[truth["name"]], limit, f"Hues of {name} in {source}"))
        for name, share in shares.items()
    ]
    first = figure("CF of the images", chroma.boxes(boxes, f"Boxes of colourfulness in {source}"))
    return f'{note(_READING)}<ul class="verdicts">{said}</ul>{grid([first, *drawn])}'


def _color(row: Record, colors: Colors) -> str:
    return INK if row["kind"] == "truth" else colors(row["name"])
