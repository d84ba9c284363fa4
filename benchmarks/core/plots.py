"""The report's plots of numbers, and how all plots are drawn.

They are inline SVG whose text and lines take the colors and the font of the page around them. Widths and sizes of type
are CSS pixels of the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.core import sections
from colornet.files import replacing

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # of matplotlib 3.11

Array = NDArray[Any]
Panel = Callable[[Axes], None]  # draws in axes

# Okabe & Ito's colors, told apart by color-blind readers, without their yellow; then four of Paul Tol's.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#999933", "#44aa99", "#aa4499")
NEUTRAL = "#9aa0a8"  # rows that are not models

# Replaced in the SVG by the page's colors of text and of thin lines, which differ between light and dark.
INK, RULE = "#010203", "#040506"

STYLE: dict[RcKeyType, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": RULE,
    "axes.formatter.useoffset": False,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,  # a point is a pixel
    "font.size": 11,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",  # text stays text: to be searched, and set in the font of the page
    "text.color": INK,
    "text.parse_math": False,  # names come from files, and a $ is a $
    "xtick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.color": RULE,
    "ytick.labelcolor": INK,
}
_WIDTH, _WIDE = 350, 530  # of plots that the page shows three and two in a row
_NAME_LENGTH = 26  # characters
_POINTS = 100  # a longer curve is drawn as means over that many parts of its length


class Bar(NamedTuple):
    """A row's value in a bar chart, and how it is written."""

    name: str
    mean: float
    sd: float | None
    text: str
    color: str


class Curve(NamedTuple):
    """A curve of one run."""

    x: Array  # (n,)
    y: Array  # (n,)
    color: str
    dashed: bool = False


class Point(NamedTuple):
    """A named point."""

    name: str
    x: float
    y: float
    color: str


@mpl.rc_context(STYLE)
def bars(rows: Sequence[Bar], truth: tuple[float, str] | None, label: str) -> str:
    """Draw horizontal bars, whiskers of one standard deviation, and the real images' (value, text) as a line."""
    figure, axes = blank(_WIDE, 52 + 23 * len(rows))
    places = range(len(rows))
    axes.barh(places, [row.mean for row in rows], height=0.62, color=[row.color for row in rows])
    for place, row in zip(places, rows, strict=True):
        if row.sd is not None:
            axes.errorbar(row.mean, place, xerr=row.sd, color=INK, elinewidth=1, capsize=2.5, capthick=1)
        axes.annotate(row.text, (1, place), (8, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                      va="center")  # fmt: skip
    axes.set_yticks(places, [shortened(row.name) for row in rows])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    if truth is not None:
        value, text = truth
        axes.axvline(value, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.annotate(f"real {text}", (value, 1), (0, 5), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center")  # fmt: skip
    return svg(figure, label)


@mpl.rc_context(STYLE)
def curves(lines: Sequence[Curve], x_label: str, label: str, mark: tuple[float, str] | None = None) -> str:
    """Draw the curves of all runs for one tag; `mark` is a place on the x axis and what it is called."""
    figure, axes = blank(_WIDTH, 220)
    for line in lines:
        x, y = line.x, line.y
        if len(x) > 2 * _POINTS:
            x, y = (np.array([part.mean() for part in np.array_split(values, _POINTS)]) for values in (x, y))
        if line.dashed:
            axes.plot(x, y, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        else:
            marker = "o" if len(x) < 12 else ""
            axes.plot(x, y, color=line.color, linewidth=1.3, alpha=0.85, marker=marker, markersize=3)
    axes.grid(axis="y")
    axes.set_xlabel(x_label)
    axes.margins(x=0.02)
    if mark is not None:
        place, text = mark
        axes.axvline(place, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.annotate(text, (place, 1), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                      va="top", fontsize=10)  # fmt: skip
    return svg(figure, label)


@mpl.rc_context(STYLE)
def scatter(points: Sequence[Point], x_label: str, y_label: str, label: str) -> str:
    """Draw named points in axes that begin at 0."""
    figure, axes = blank(_WIDE, 320)
    for point in points:
        axes.scatter(point.x, point.y, s=70, color=point.color, zorder=3)
        axes.annotate(shortened(point.name), (point.x, point.y), (0, 9), textcoords="offset points", ha="center")
    axes.grid()
    farthest, highest = max(point.x for point in points), max(point.y for point in points)
    axes.set(xlim=(0, 1.15 * farthest), ylim=(0, 1.15 * highest), xlabel=x_label, ylabel=y_label)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return svg(figure, label)


@mpl.rc_context(STYLE)
def panel_figure(caption: str, panel: Panel, source: Path, *, wide: bool = False) -> sections.Figure:
    """Draw a panel for the page, which shows two of them in a row where they are `wide`, else three."""
    figure, axes = blank(_WIDE, 320) if wide else blank(_WIDTH, 250)
    panel(axes)
    return sections.Figure(caption, [svg(figure, f"{caption} in {source}")])


@mpl.rc_context(STYLE | {"grid.color": "0.9"})
def write_panels(panels: Mapping[str, Panel], path: Path, columns: int = 1) -> Path:
    """Draw panels below their titles, `columns` in a row, to a PNG file; return `path`."""
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(_WIDE * columns / 72, 340 * rows / 72), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, panel) in zip(places, panels.items(), strict=False):
        panel(axes)
        axes.set_title(title)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=2 * 72)
    return path


def shortened(name: str) -> str:
    """Shorten a name, which may be a path, to its end."""
    return name if len(name) <= _NAME_LENGTH else "…" + name[1 - _NAME_LENGTH :]


def blank(width: int, height: int) -> tuple[Figure, Axes]:
    """Make a figure of that many CSS pixels with axes that fill it."""
    figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
    return figure, figure.add_subplot()


def svg(figure: Figure, label: str) -> str:
    """Write a figure as an `svg` element of a page; `label` is what a screen reader says, unique in the page."""
    buffer = StringIO()
    with mpl.rc_context({"svg.hashsalt": label}):  # ids follow from it: the same in every report, unique in a page
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    head = f'<svg role="img" aria-label="{escape(label)}" viewBox='
    text = head + re.split(r"<svg [^>]*?viewBox=", text, maxsplit=1)[1]  # without size and prologue
    used = {*re.findall(r"#([\w-]+)", text)}
    text = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", text)
    return text.replace(INK, "currentColor").replace(RULE, "var(--rule)")
