"""The report's plots of colors: histograms in the a*b* plane, colorfulness and hues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.core.plots import INK, NEUTRAL, RULE, STYLE, Array, blank, shortened, svg
from colornet.color import lab_to_rgb
from colornet.metrics.image import SEPIA

_SMALL = 250  # width of plots that the page shows four in a row
_AB_EDGE = 110.0  # histograms reach from −110 to 110
_AB_LIGHTNESS = 65.0  # L* in which they are drawn
_AB_FAINTEST = 1e-5  # share of the pixels that is still shown
_AB_ENCLOSED = 0.9  # share of the truth's pixels within its outline

_MEDIUM = 350  # width of plots that the page shows three in a row
_HUE_CHROMA = 42.0  # C* in which bars of hues are drawn


@mpl.rc_context(STYLE)
def distribution(values: Array, truth: Array | None, color: str, limit: float, label: str) -> str:
    """Draw the distribution of colorfulness over images from 0 to `limit`, above that of the real images."""
    figure, axes = _small_figure(110)
    edges = np.linspace(0, limit, 41).tolist()
    if truth is not None:
        heights, *_ = axes.hist(truth.clip(0, limit), edges, density=True, color=NEUTRAL, alpha=0.35)
        axes.set_ylim(0, 3 * np.max(heights))  # what is nearly gray would flatten all else
    axes.hist(values.clip(0, limit), edges, density=True, histtype="step", color=color, linewidth=1.6)
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, limit), yticks=[], xlabel="CF")
    return svg(figure, label)


def chroma_limit(histograms: Sequence[Array]) -> float:
    """Choose the |a*| and |b*| up to which the visible part of all histograms (64, 64) lies, in tens."""
    edges = np.linspace(-_AB_EDGE, _AB_EDGE, histograms[0].shape[0] + 1)
    outer = np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))
    far = np.maximum(outer[:, None], outer[None, :])
    reach = max(float(far[counts >= 10 * _AB_FAINTEST * counts.sum()].max()) for counts in histograms)
    return min(_AB_EDGE, 10 * np.ceil(reach / 10))


@mpl.rc_context(STYLE)
def chroma_map(counts: Array, truth: Array | None, limit: float, label: str) -> str:
    """Draw a histogram (b*, a*) in the colors that it counts: the more opaque, the more pixels, logarithmically.

    The scale is that of the real images or, without them, the histogram's own; the line encloses 90 % of them.
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
        falling = np.sort(truth, axis=None)[::-1]
        last = np.searchsorted(falling.cumsum(), _AB_ENCLOSED * falling.sum())
        level = falling[last : last + 2].mean()  # between the last bin inside the outline and the first outside
        axes.contour(centers, centers, truth, [level], colors=[INK], linewidths=0.9)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xlabel="a*", ylabel="b*")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, symmetric=True))
    return svg(figure, label)


@mpl.rc_context(STYLE)
def boxes(rows: Mapping[str, tuple[Sequence[float], str]], label: str) -> str:
    """Draw a horizontal box for every row, and the median of the first, the real images, as a line through all.

    A row has its 5, 25, 50, 75 and 95 % quantiles and its color.
    """
    figure, axes = blank(_MEDIUM, 52 + 26 * len(rows))
    for place, ((low, first, median, third, high), color) in enumerate(rows.values()):
        axes.plot((low, high), (place, place), color=color, linewidth=1.2, solid_capstyle="butt")
        axes.barh(place, third - first, left=first, height=0.56, color=color, alpha=0.45)
        axes.plot((median, median), (place - 0.28, place + 0.28), color=color, linewidth=2.2, solid_capstyle="butt")
        if place == 0:
            axes.axvline(median, color=INK, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
    axes.set_yticks(range(len(rows)), [*map(shortened, rows)])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set(xlim=(0, None), xlabel="CF")
    axes.spines["bottom"].set_visible(False)
    return svg(figure, label)


@mpl.rc_context(STYLE)
def hue_profile(shares: Sequence[float], truth: Sequence[float], limit: float, label: str) -> str:
    """Draw the shares of pixels by hue, bars in their own colors, below the outline of the real images'."""
    figure, axes = blank(_MEDIUM, 190)
    edges = np.linspace(0, 360, len(shares) + 1)
    hue = torch.from_numpy(np.deg2rad((edges[:-1] + edges[1:]) / 2)).float()
    lab = torch.stack((torch.full_like(hue, _AB_LIGHTNESS), _HUE_CHROMA * hue.cos(), _HUE_CHROMA * hue.sin()))
    bars = lab_to_rgb(lab[:, None]).squeeze(1).T.numpy()  # (bins, 3)
    axes.axvspan(*SEPIA, color=NEUTRAL, alpha=0.22, linewidth=0)
    percent = 100 * np.minimum(shares, limit)
    axes.bar(edges[:-1], percent, width=np.diff(edges), align="edge", color=bars.tolist())
    axes.stairs(100 * np.minimum(truth, limit), edges, color=INK, linewidth=1.2)
    axes.set(xlim=(0, 360), ylim=(0, 105 * limit), xlabel="hue, degrees", ylabel="% of pixels")
    axes.set_xticks(range(0, 361, 90))
    return svg(figure, label)


def _ab_colors(bins: int) -> Array:
    """Return the sRGB colors (b, a, 3) of the bins of a histogram at one lightness, clipped to what screens show."""
    half = _AB_EDGE / bins
    centers = torch.linspace(-_AB_EDGE + half, _AB_EDGE - half, bins)
    b, a = torch.meshgrid(centers, centers, indexing="ij")
    rgb: Array = lab_to_rgb(torch.stack((torch.full_like(a, _AB_LIGHTNESS), a, b))).movedim(0, -1).numpy()
    return rgb


def _small_figure(height: int) -> tuple[Figure, Axes]:
    """Make a figure whose axes begin at the same place as those of the figure below it."""
    figure = Figure(figsize=(_SMALL / 72, height / 72))
    left, below, margin = 48, 34, 4
    across, up = 1 - (left + margin) / _SMALL, 1 - (below + margin) / height
    return figure, figure.add_axes((left / _SMALL, below / height, across, up))
