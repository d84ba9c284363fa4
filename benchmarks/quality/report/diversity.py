"""Several colorings of an image: how much they differ, and whether they do where the truth is ambiguous."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from benchmarks.core.colors import Colors
from benchmarks.core.plots import INK, panel_figure
from benchmarks.core.record import Record
from benchmarks.core.sections import Block, Figures, Heading, Note, PageOnly, Verdicts, listed
from benchmarks.quality.report.tables import ordered_rows
from colornet.tables import Column, format_mean, table_of

_SEEN = 1.0  # ΔE00, about the least difference that is seen
_MEAN = functools.partial(format_mean, decimals=2)
_DIVERSITY_COLUMNS = (
    Column("", "name"),
    Column("pairwise ΔE00", "pairwise", _MEAN, tip="CIEDE2000 between two colorings of an image, mean over all pairs."),
    Column("ΔE00", "ciede2000", _MEAN, tip="CIEDE2000 of a coloring to the truth, mean over the colorings."),
    Column("best ΔE00", "best_ciede2000", _MEAN,
           tip="CIEDE2000 of the coloring nearest to the truth: an oracle's choice."),
    Column("PSNR", "psnr", _MEAN, tip="PSNR of a coloring in dB, mean over the colorings."),
    Column("best PSNR", "best_psnr", _MEAN, tip="PSNR in dB of the coloring with the highest: an oracle's choice."),
    Column("coverage %", "coverage", functools.partial(format_mean, decimals=1),
           tip="a* and b* of the truth between the smallest and the largest of the colorings, per cent."),
    Column("spread", "spread", _MEAN, tip="Root mean square distance in a*b* from their mean, as the colorings say."),
    Column("error", "error", _MEAN, tip="Root mean square distance in a*b* of the mean coloring to the truth."),
)  # fmt: skip
_DIVERSITY_READING = (
    "{samples} colorings of each of {images:,} images, evenly spaced over the set, by models that see noise beside "
    "the gray image. Unranked: the best is chosen by an oracle that knows the truth, and any scatter at all makes the "
    "best of several better than one. The distances in the tables above are of one coloring an image, the first. "
    "Calibrated colorings cover {ideal:.0f} % of the truth, and their spread is as large as the error of their mean."
)
_CALIBRATION_READING = (
    "Line: pixels in {bins} groups of equal size by the spread of their colorings, from the smallest. Dots: the images "
    "of each class. Dashed: calibrated colorings, which vary as much as their mean is wrong. Below it, colorings "
    "vary too much, above too little. A line that does not rise varies at random. Of several runs, the first."
)


def diversity_blocks(record: Record) -> list[Block]:
    """Lay out what was measured of several colorings, if it was, and name the models that ignore their noise."""
    measured = [row for row in ordered_rows(record) if row.get("diversity")]
    if not measured:
        return []
    rows = [{"name": row["name"], **row["diversity"]["values"]} for row in measured]
    samples, images = (measured[0]["diversity"][key] for key in ("samples", "images"))
    ideal = 100 * (samples - 1) / (samples + 1)
    blocks: list[Block] = [
        Heading("Several colorizations of an image"),
        Note(_DIVERSITY_READING.format(samples=samples, images=images, ideal=ideal)),
    ]
    ignoring = [row["name"] for row in rows if row["pairwise"]["mean"] < _SEEN]
    if ignoring:
        text = f"{listed(ignoring)}: two colorings differ by less than a ΔE00 of {_SEEN:g}, about the least that is "
        text += f"seen. The model{'s ignore their' if len(ignoring) > 1 else ' ignores its'} noise, or nearly."
        blocks.append(Verdicts([text]))
    return [*blocks, table_of("Several colorizations of an image, unranked", _DIVERSITY_COLUMNS, rows)]


def calibration_blocks(record: Record, colors: Colors, source: Path) -> list[Block]:
    """Draw the error of the mean coloring against the spread of the colorings, a figure a model; empty if unknown."""
    figures, bins = [], 0
    for row in ordered_rows(record):
        if found := (row.get("diversity") or {}).get("calibration"):
            panel = functools.partial(_draw, found, colors(row["name"]))
            figures.append(panel_figure(f"Spread and error of {row['name']}", panel, source, wide=True))
            bins = len(found["bins"])
    if not figures:
        return []
    note = Note(_CALIBRATION_READING.format(bins=bins))
    return [PageOnly([Heading("Do colorings vary where the truth is ambiguous?", 4), note, Figures(figures, "wide")])]


def _draw(found: Record, color: str, axes: Axes) -> None:
    """Draw the (spread, error) of groups of pixels as a line and those of classes as named dots."""
    spread, error = np.array(found["bins"]).T  # (bins,) each
    limit = 1.1 * max(*spread, *error, *(value for pair in found["classes"].values() for value in pair), 1.0)
    axes.plot((0, limit), (0, limit), color=INK, linewidth=1, linestyle=(0, (4, 2)))
    axes.plot(spread, error, color=color, marker="o", markersize=4)
    for name, (x, y) in found["classes"].items():
        axes.scatter(x, y, s=16, color=INK, zorder=3)
        axes.annotate(name, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.grid()
    axes.set(
        xlim=(0, limit), ylim=(0, limit), xlabel="spread of the colorings, a*b*", ylabel="error of their mean, a*b*"
    )
