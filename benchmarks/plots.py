"""The plots of the report: inline SVG whose text and lines take the colours and the font of the page around them.

Widths and sizes of type are CSS pixels: a plot is drawn at the size at which the page shows it, or nearly so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import RcKeyType
from numpy.typing import NDArray

from colornet.color import lab_to_rgb

__all__ = [
    "INK",
    "NEUTRAL",
    "PALETTE",
    "Bar",
    "Curve",
    "Point",
    "bars",
    "chroma_limit",
    "chroma_map",
    "curves",
    "distribution",
    "scatter",
]

Array = NDArray[Any]

# Okabe & Ito's colours, told apart by colour-blind readers, without their yellow; then four of Paul Tol's.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#999933", "#44aa99", "#aa4499")
NEUTRAL = "#9aa0a8"  # rows that are not models

# Stand for the page's colours of text and of thin lines, which differ between light and dark, until the SVG is written.
INK, RULE = "#010203", "#040506"

_STYLE: dict[RcKeyType, Any] = {
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
_WIDTH, _WIDE, _SMALL = 350, 530, 250  # of plots that the page shows three, two and four in a row
_NAME_LENGTH = 26  # characters
_POINTS = 100  # a longer curve is drawn as means over that many parts of its length

_AB_EDGE = 110.0  # histograms reach from −110 to 110
_AB_LIGHTNESS = 65.0  # L* in which they are drawn
_AB_FAINTEST = 1e-5  # share of the pixels that is still shown
_AB_ENCLOSED = 0.9  # share of the truth's pixels within its outline


@dataclass(frozen=True)
class Bar:
    """A row's value in a bar chart, and how it is written."""

    name: str
    mean: float
    sd: float | None
    text: str
    color: str


@dataclass(frozen=True)
class Curve:
    """A curve of one run."""

    x: Array  # (n,)
    y: Array  # (n,)
    color: str
    dashed: bool = False


@dataclass(frozen=True)
class Point:
    """A named point."""

    name: str
    x: float
    y: float
    color: str


@mpl.rc_context(_STYLE)
def bars(rows: Sequence[Bar], truth: tuple[float, str] | None, label: str) -> str:
    """Draw horizontal bars, whiskers of one standard deviation, and the real images' (value, text) as a line."""
    figure, axes = _figure(_WIDE, 52 + 23 * len(rows))
    places = range(len(rows))
    axes.barh(places, [row.mean for row in rows], height=0.62, color=[row.color for row in rows])
    for place, row in zip(places, rows, strict=True):
        if row.sd is not None:
            axes.errorbar(row.mean, place, xerr=row.sd, color=INK, elinewidth=1, capsize=2.5, capthick=1)
        axes.annotate(row.text, (1, place), (8, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                      va="center")  # fmt: skip
    axes.set_yticks(places, [_short(row.name) for row in rows])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    if truth is not None:
        value, text = truth
        axes.axvline(value, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.annotate(f"real {text}", (value, 1), (0, 5), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center")  # fmt: skip
    return _svg(figure, label)


@mpl.rc_context(_STYLE)
def curves(lines: Sequence[Curve], x_label: str, label: str) -> str:
    """Draw the curves of all runs for one tag."""
    figure, axes = _figure(_WIDTH, 220)
    for line in lines:
        x, y = _thinned(line.x, line.y)
        if line.dashed:
            axes.plot(x, y, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        else:
            marker = "o" if len(x) < 12 else ""
            axes.plot(x, y, color=line.color, linewidth=1.3, alpha=0.85, marker=marker, markersize=3)
    axes.grid(axis="y")
    axes.set_xlabel(x_label)
    axes.margins(x=0.02)
    return _svg(figure, label)


@mpl.rc_context(_STYLE)
def scatter(points: Sequence[Point], x_label: str, y_label: str, label: str) -> str:
    """Draw named points in axes that begin at 0."""
    figure, axes = _figure(_WIDE, 320)
    for point in points:
        axes.scatter(point.x, point.y, s=70, color=point.color, zorder=3)
        axes.annotate(_short(point.name), (point.x, point.y), (0, 9), textcoords="offset points", ha="center")
    axes.grid()
    axes.margins(0.18)
    axes.set(xlim=(0, None), ylim=(0, None), xlabel=x_label, ylabel=y_label)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return _svg(figure, label)


@mpl.rc_context(_STYLE)
def distribution(values: Array, truth: Array | None, color: str, limit: float, label: str) -> str:
    """Draw the distribution of colourfulness over images from 0 to `limit`, above that of the real images."""
    figure, axes = _small_figure(110)
    edges = np.linspace(0, limit, 41).tolist()
    if truth is not None:
        heights, *_ = axes.hist(truth.clip(0, limit), edges, density=True, color=NEUTRAL, alpha=0.35)
        axes.set_ylim(0, 3 * np.max(heights))  # what is nearly grey would flatten all else
    axes.hist(values.clip(0, limit), edges, density=True, histtype="step", color=color, linewidth=1.6)
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, limit), yticks=[], xlabel="CF")
    return _svg(figure, label)


def chroma_limit(histograms: Sequence[Array]) -> float:
    """Choose the |a*| and |b*| up to which the visible part of all histograms (64, 64) lies, in tens."""
    edges = np.linspace(-_AB_EDGE, _AB_EDGE, histograms[0].shape[0] + 1)
    outer = np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))
    far = np.maximum(outer[:, None], outer[None, :])
    reach = max(float(far[counts >= 10 * _AB_FAINTEST * counts.sum()].max()) for counts in histograms)
    return min(_AB_EDGE, 10 * np.ceil(reach / 10))


@mpl.rc_context(_STYLE)
def chroma_map(counts: Array, truth: Array | None, limit: float, label: str) -> str:
    """Draw a histogram (b*, a*) in the colours that it counts: the more opaque, the more pixels, logarithmically.

    The scale is that of the real images, in whose absence it is the histogram's own; the line encloses 90 % of them.
    """
    figure, axes = _small_figure(236)  # square axes
    reference = counts if truth is None else truth
    share, densest = counts / counts.sum(), (reference / reference.sum()).max()
    with np.errstate(divide="ignore"):
        opacity = np.log(share / _AB_FAINTEST) / np.log(densest / _AB_FAINTEST)
    opacity = opacity.clip(0, 1) ** 0.7  # lifted: what is rare stays visible
    pixels = np.concatenate((_ab_colors(len(counts)), opacity[..., None]), axis=-1)  # (b, a, RGBA)
    axes.imshow(pixels, origin="lower", extent=(-_AB_EDGE, _AB_EDGE, -_AB_EDGE, _AB_EDGE), interpolation="none")
    axes.axhline(0, color=RULE, linewidth=0.6, zorder=0)
    axes.axvline(0, color=RULE, linewidth=0.6, zorder=0)
    if truth is not None:
        half = _AB_EDGE / len(truth)
        centers = np.linspace(-_AB_EDGE + half, _AB_EDGE - half, len(truth))
        axes.contour(centers, centers, truth, [_enclosing_level(truth)], colors=[INK], linewidths=0.9)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xlabel="a*", ylabel="b*")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, symmetric=True))
    return _svg(figure, label)


def _ab_colors(bins: int) -> Array:
    """Return the sRGB colours (b, a, 3) of the bins of a histogram at one lightness, clipped to what screens show."""
    half = _AB_EDGE / bins
    centers = torch.linspace(-_AB_EDGE + half, _AB_EDGE - half, bins)
    b, a = torch.meshgrid(centers, centers, indexing="ij")
    rgb: Array = lab_to_rgb(torch.stack((torch.full_like(a, _AB_LIGHTNESS), a, b))).movedim(0, -1).numpy()
    return rgb


def _enclosing_level(counts: Array) -> float:
    """Find the count above which the fullest bins together hold `_AB_ENCLOSED` of all."""
    falling = np.sort(counts, axis=None)[::-1]
    last = np.searchsorted(falling.cumsum(), _AB_ENCLOSED * falling.sum())
    return float(falling[last : last + 2].mean())  # between the last bin within and the first without


def _thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """Replace a long curve by its means over equal parts."""
    if len(x) <= 2 * _POINTS:
        return x, y
    thin_x, thin_y = ([part.mean() for part in np.array_split(values, _POINTS)] for values in (x, y))
    return np.array(thin_x), np.array(thin_y)


def _short(name: str) -> str:
    """Shorten a name, which may be a path, to its end, such that it leaves room for what it names."""
    return name if len(name) <= _NAME_LENGTH else "…" + name[1 - _NAME_LENGTH :]


def _figure(width: int, height: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
    return figure, figure.add_subplot()


def _small_figure(height: int) -> tuple[Figure, Axes]:
    """Make a figure whose axes begin at the same place as those of the figure below it."""
    figure = Figure(figsize=(_SMALL / 72, height / 72))
    left, below, margin = 48, 34, 4
    return figure, figure.add_axes(
        (left / _SMALL, below / height, 1 - (left + margin) / _SMALL, 1 - (below + margin) / height)
    )


def _svg(figure: Figure, label: str) -> str:
    """Write a figure as an `svg` element of a page; `label` is what a screen reader says, another for every plot."""
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
