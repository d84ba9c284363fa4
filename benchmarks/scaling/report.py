"""What `scaling` shows: the efficiency of several processes as measured, and as predicted for more of them."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from benchmarks.core import plots
from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Figures, Note, Section, measured_on
from colornet.tables import Column, format_digits, format_number, format_percent, table_of

REQUIRED = {
    "scaling": (
        ("points", "link", "models", "data", "commit", "date", "device"),
        {
            "points": ("preset", "processes", "images", "bucket_mb", "seconds", "images_per_second",
                       "weak_efficiency", "strong_efficiency"),
            "models": ("preset", "gradient_bytes", "compute", "hidden_share", "predictions",
                       "images_for_90_percent"),
        },
    )
}  # fmt: skip

_SCALINGS = ("weak", "strong")
_READING = (
    "Efficiency over the processes. Weak: as many images per process; strong: as many in all. Dots are measured; a "
    "band is what the model says, from nothing of the exchange of gradients hidden by the backward pass to as much as "
    "can be, its line as much as was hidden here. Dotted: 90 %."
)
_POINTS = (
    Column("preset", "preset"),
    Column("processes", "processes"),
    Column("images per process", "images"),
    Column("bucket MiB", "bucket_mb", "{:g}".format),
    Column("images/s", "images_per_second", format_digits),
    Column("step ms", "step", 1, 1e-3),
    Column("compute", "compute", 1, 1e-3, "Milliseconds of the same step without any exchange of gradients."),
    Column("communication", "communication", 1, 1e-3,
           "Milliseconds of the exchange that the backward pass did not hide."),
    Column("input", "input", 1, 1e-3, "Milliseconds of the next batch alone; part of compute."),
    Column("weak", "weak_efficiency", format_percent,
           tip="Images/s over those of one process with as many images per process, over the processes."),
    Column("strong", "strong_efficiency", format_percent,
           tip="Images/s over those of one process with as many images in all, over the processes."),
)  # fmt: skip
_HIDDEN = {"low": "no overlap", "high": "maximum overlap", "here": "overlap as measured"}


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `scaling`: plots of efficiency, the measured points and what is predicted."""
    record = result.record
    blocks = tables(record)
    if panels := _panels(record):
        figures = [plots.panel_figure(title, panel, result.path) for title, panel in panels.items()]
        blocks = [Note(_READING), Figures(figures), *blocks]
    return Section(f"Scaling on {record['device']}", summarize(record), result.path, blocks)


def summarize(record: Record) -> str:
    """Say what was measured and what connects the processes."""
    counts = sorted({point["processes"] for point in record["points"]})
    link = record["link"]
    if link is None:
        known = "No model of more: give two processes or more, or --link-bandwidth and --link-latency."
    else:
        origin = f"{' and '.join(link['assumed'])} assumed" if link["assumed"] else "measured"
        known = (
            f"Link, {origin}: {format_number(link['latency'], 0, 1e-6)} µs a message, "
            f"{format_digits(link['bandwidth'], unit=1e9)} GB/s."
        )
    return (
        f"Training steps on {', '.join(map(str, counts))} process{'es' * (counts[-1] > 1)}, images of "
        f"{record['data']['name']}. {known} {measured_on(record)}"
    )


def tables(record: Record) -> list[Block]:
    """Lay out the measured points and, where there are models, the images per process that 90 % efficiency takes."""
    points = []
    for point in record["points"]:
        alone = {"compute": point["seconds"]["step"], "communication": 0.0}  # on one process
        points.append({**point, **alone, **point["seconds"]})
    blocks: list[Block] = [table_of("Measured", _POINTS, points)]
    for model in record["models"]:
        preset, compute = model["preset"], model["compute"]
        reading = (
            f"{preset}: a step on one process takes {format_number(compute['fixed'], 2, 1e-3)} ms and "
            f"{format_number(compute['per_image'], 1, 1e-6)} µs an image, and sums "
            f"{format_number(model['gradient_bytes'], 1, 1e6)} MB of gradients."
        )
        kinds = [Column(_HIDDEN.get(kind, kind), kind, 0, missing="none") for kind in model["hidden_share"]]
        title = f"{preset}: images per process for a predicted efficiency of 90 %"
        table = table_of(title, [Column("processes", "processes"), *kinds], model["images_for_90_percent"])
        blocks += [Note(reading), table]
    return blocks


def draw(record: Record, path: Path) -> Path | None:
    """Draw the efficiencies to a PNG file, weak beside strong; return its path, None where nothing is predicted."""
    panels = _panels(record)
    return plots.write_panels(panels, path, columns=len(_SCALINGS)) if panels else None


def _panels(record: Record) -> dict[str, plots.Panel]:
    """Return the plots by their titles: for each model weak scaling, then strong."""
    return {
        f"{model['preset']}, {kind} scaling": functools.partial(_draw_efficiency, record, model, kind)
        for model in record["models"]
        for kind in _SCALINGS
    }


def _draw_efficiency(record: Record, model: Record, kind: str, axes: Axes) -> None:
    """Draw the weak or strong efficiencies of a preset in per cent, measured and predicted."""
    counts = sorted({point["processes"] for point in model["predictions"]})
    images_drawn = sorted({point["images"] for point in model["predictions"]})
    for color, images in zip(plots.PALETTE, images_drawn, strict=False):
        predicted = [point[kind] for point in model["predictions"] if point["images"] == images]
        ends = {end: [100 * point[end] for point in predicted] for end in model["hidden_share"]}
        name = f"{images} images {'per process' if kind == 'weak' else 'in all'}"
        axes.fill_between(counts, ends["low"], ends["high"], color=color, alpha=0.22, linewidth=0, label=name)
        if "here" in ends:
            axes.plot(counts, ends["here"], color=color, linewidth=1.3)
        dots = [
            (point["processes"], 100 * point[f"{kind}_efficiency"])
            for point in record["points"]
            if point["preset"] == model["preset"]
            and point["images"] * (1 if kind == "weak" else point["processes"]) == images
            and point[f"{kind}_efficiency"] is not None
        ]
        axes.plot(*np.array(dots).reshape(-1, 2).T, "o", color=color, markersize=5)
    axes.axhline(90, color=plots.INK, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set(xscale="log", ylim=(0, 115), xlabel="processes", ylabel="efficiency, %")  # noise puts points above 100
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.legend(frameon=False, loc="lower left", labelcolor=plots.INK)
