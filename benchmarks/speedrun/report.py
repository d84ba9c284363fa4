"""What `speedrun` shows: how long ours trains until its error is that of the original notebooks' autoencoder.

Records of `--to-quality` have a kind and a module of their own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.core import plots
from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Figures, Legend, Note, Section, listed, measured_on
from benchmarks.speedrun import to_quality_report
from colornet.tables import Cell, Column, Line, Table, decimals_for, format_digits, format_number, table_of

REQUIRED = {
    "speedrun": (
        ("data", "target", "gray", "notebook_pipeline", "ours", "runs", "median", "commit", "date", "device"),
        {"runs": ("seed", "reached", "reason", "seconds", "ratio", "images", "parameters", "curve")},
    ),
    "speedrun-to-quality": (
        ("data", "target", "floors", "recipes", "runs", "commit", "date", "device"),
        {"runs": ("recipe", "seed", "reached", "reason", "seconds", "images", "curve")},
    ),
}

_NOTEBOOK = "notebook pipeline"
_MSE_DECIMALS = 5
_SAID_ABOVE = ("data", "image_size", "cpu")  # options that the summary names
_CURVES_READING = (
    "Mean squared error (MSE) of the held-out images. A line a run, a point an evaluation; the large dot is the first "
    "at or below the target. Dotted: the floors, which need no training. Logarithmic axes: over seconds, the ratio is "
    "the distance between two dots."
)
_AXES = {"seconds": (1.0, "seconds of training"), "images": (1e3, "thousand images seen")}  # unit, label


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `speedrun`: its outcome in words, the curves of both sides, and a row for each run."""
    if result.record["kind"] == "speedrun-to-quality":
        return to_quality_report.section(result, colors)
    record = result.record
    figures = []
    for key, (_, x_label) in _AXES.items():
        panel = partial(_draw_errors, record, colors, key)
        figures.append(plots.panel_figure(f"MSE over {x_label}", panel, result.path, wide=True))
    blocks = [Note(_CURVES_READING), Legend(_names(record, colors)), Figures(figures, "wide"), *tables(record)]
    title = f"Time to the original notebooks' result on {record['data']['name']}"
    return Section(title, summarize(record), result.path, blocks)


def summarize(record: Record) -> str:
    """Say how fast each side reached the target, on which data and device."""
    if record["kind"] == "speedrun-to-quality":
        return to_quality_report.summarize(record)
    notebook, target, runs, median = (record[key] for key in ("notebook_pipeline", "target", "runs", "median"))
    preset, reached = record["ours"]["preset"], sum(run["reached"] for run in runs)
    comes = f"Ours ({preset}) reaches the error of the original notebooks' autoencoder in"
    loop = f"the original notebooks' own loop takes {format_digits(notebook['seconds_to_target'])} s"
    cpu_ratio = median.get("cpu_ratio")  # earlier results have none
    by_processor = f", by the processor's time {format_number(cpu_ratio, 2)} times" if cpu_ratio else ""
    of_runs = f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
    if median["ratio"]:
        missing = "" if reached == len(runs) else f", of which {reached} reached it"
        outcome = (
            f"{comes} {format_digits(median['seconds'])} s of training, the median of {of_runs}{missing}; {loop}, "
            f"{format_number(median['ratio'], 2)} times as long{by_processor}."
        )
    else:
        outcome = f"{comes} {reached} of {of_runs}: there is no median time and no ratio; {loop}."
    size = f", {side} × {side} pixels" if (side := record["data"].get("image_size")) else ""
    return (
        f"{outcome} Held out: the {target['images']:,} {target['split']} images of {record['data']['name']}{size}. "
        f"{measured_on(record)}"
    )


def tables(record: Record) -> list[Block]:
    """Lay out the runs below what the target is, what each side saw, and with which options ours ran."""
    if record["kind"] == "speedrun-to-quality":
        return to_quality_report.tables(record)
    notebook, ours = record["notebook_pipeline"], record["ours"]
    options = {name: value for name, value in (ours.get("changed") or {}).items() if name not in _SAID_ABOVE}
    changed = listed([f"{name} {value}" for name, value in options.items()])
    reading = (
        f"Target: the MSE after the last of {notebook['epochs']} epochs of the notebook pipeline, trained once, which "
        f"take {format_digits(notebook['seconds'])} s in all; its time is that of its first epoch that ends at or "
        f"below it. {_against_floors(record)} {record['gray']['note']} Ours: preset {ours['preset']}"
        f"{f', with {changed}' if changed else ''}."
    )
    return [Note(reading), runs_table(record)]


def _floors(record: Record) -> Record:
    """Return the floors by their names in tables and plots; older results have none."""
    return {f"floor: {name}": floor for name, floor in (record.get("floors") or {}).items()}


def _against_floors(record: Record) -> str:
    """Say how the target compares with the floors."""
    floors, below = _floors(record), record["target"].get("decibels_below_floors")
    if not floors:
        return "Floors were not measured: the target may be no better than the gray input itself."
    names = listed([floor["about"] for floor in floors.values()])
    margin = "" if below is None else f" The target is {format_number(below, 2)} dB better than the best of them."
    return f"Floors, without any training: {names}.{margin}"


def runs_table(record: Record) -> Table:
    """Lay out the runs below the floors and the notebook pipeline, and their median last."""
    notebook, runs = record["notebook_pipeline"], record["runs"]
    reached = [run for run in runs if run["reached"]]
    decimals = decimals_for(min([notebook["seconds_to_target"], *(run["seconds"] for run in reached)]))
    columns = (
        Column("", "name"),
        Column("seconds", lambda run: run["seconds"] if run["reached"] else None, decimals, note="reason",
               tip="Of training alone, until the error is at or below the target."),
        Column("ratio", "ratio", 2, tip="Seconds of the notebook pipeline over those of the run."),
        Column("MSE", "mse", _MSE_DECIMALS),
        Column("images", "images", 0, tip="Training images seen by then."),
        Column("parameters, M", "parameters", format_digits, 1e6),
        Column("compile s", "compile_seconds", 1,
               tip="A step before the clock starts, in which networks are compiled."),
        Column("evaluation s", "evaluation_seconds", 1, tip="All evaluations, which are in no other number."),
    )  # fmt: skip
    there = next(point for point in notebook["curve"] if point["mse"] <= record["target"]["mse"])
    floors = [{"name": name, "mse": floor["mse"], "reached": False} for name, floor in _floors(record).items()]
    rows = [*floors, {**notebook, **there, "name": _NOTEBOOK, "ratio": 1.0, "reached": True}]
    for run in runs:
        mse = run["curve"][-1]["mse"] if run["curve"] else None
        rows.append({**run, "name": f"ours, seed {run['seed']}", "mse": mse})
    table = table_of("Every run", columns, rows, ranked=lambda run: "seed" in run and run["name"] != _NOTEBOOK)
    median, complete = record["median"], len(reached) == len(runs) > 1
    name = f"median of {len(runs)}{' (lowest–highest)' if complete else ''}"
    cells = [Cell(name, bold=True)]
    for key, places in (("seconds", decimals), ("ratio", 2)):
        text = format_number(median[key], places)
        if complete:
            ends = [run[key] for run in runs]
            text += f" ({format_number(min(ends), places)}–{format_number(max(ends), places)})"
        cells.append(Cell(text, bold=True))
    return replace(table, lines=[*table.lines, Line(cells[0], [*cells[1:], *[Cell("")] * 5])])


# Curves


def draw(record: Record, path: Path) -> Path:
    """Draw the errors over the seconds of training to a PNG file; return its path."""
    if record["kind"] == "speedrun-to-quality":
        return to_quality_report.draw(record, path)
    colors = Colors(others=[record["ours"]["preset"]])

    def panel(axes: Axes) -> None:
        _draw_errors(record, colors, "seconds", axes)
        axes.set_ylabel(f"MSE of {record['target']['images']:,} {record['target']['split']} images")
        lines = [axes.plot([], [], color=color, label=name)[0] for name, color in _names(record, colors).items()]
        axes.legend(handles=lines, frameon=False, labelcolor=plots.INK)

    return plots.write_panels({f"{record['data']['name']}, {record['device']}": panel}, path)


def _names(record: Record, colors: Colors) -> dict[str, str]:
    """Return the colors of both sides by their names."""
    preset = record["ours"]["preset"]
    return {_NOTEBOOK: colors(_NOTEBOOK), f"ours, from {preset}": colors(preset)}


def _draw_errors(record: Record, colors: Colors, key: str, axes: Axes) -> None:
    """Draw the errors of all runs on logarithmic axes; a large dot is where one first is at or below the target."""
    target = record["target"]["mse"]
    unit, x_label = _AXES[key]
    notebook, ours = _names(record, colors).values()
    curves = [(record["notebook_pipeline"]["curve"], notebook), *((run["curve"], ours) for run in record["runs"])]
    for curve, color in curves:
        x = np.array([point[key] / unit for point in curve])
        y = np.array([point["mse"] for point in curve])
        axes.plot(x, y, color=color, linewidth=1.3, alpha=0.85, marker="o", markersize=2.5)
        first = np.flatnonzero(y <= target)[:1]
        axes.plot(x[first], y[first], "o", color=color, markersize=7, zorder=3)
    marks = {"target": target} | {name: floor["mse"] for name, floor in _floors(record).items()}
    for name, value in marks.items():
        dashes = (4, 2) if name == "target" else (1, 2)
        axes.axhline(value, color=plots.INK, linewidth=1, linestyle=(0, dashes))
        axes.annotate(f"{name} {format_number(value, _MSE_DECIMALS)}", (0, value), (4, -2), va="top",
                      xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel=x_label)
    axes.margins(0.05, 0.12)
    axes.grid()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(lambda value, _: f"{value:,g}")
        axis.set_minor_locator(NullLocator())
