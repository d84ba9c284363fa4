"""The section of a race: how long ours trains until its error is that of the original notebooks' autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from benchmarks.core import plots
from benchmarks.core.html import Colors, Section, figure, grid, legend, listed, measured_on, note, source_of
from benchmarks.core.tables import (
    DASH,
    Cell,
    Line,
    Table,
    decimals_for,
    escape_markdown,
    format_number,
    table_html,
    table_markdown,
)
from benchmarks.report.read import Record, Result

__all__ = ["speedrun_section"]

_SEED = "notebook pipeline"
_MSE_DECIMALS = 5
_SAID_ABOVE = ("data", "image_size", "cpu")  # options of which the summary tells
_CURVES_READING = (
    "Mean squared error (MSE) of the held-out images. A line a run, a point an evaluation; the large dot is the first "
    "at or below the target. Logarithmic axes: over seconds, the ratio is the distance between two dots."
)
_TIPS = {
    "seconds": "Of training alone, until the error is at or below the target.",
    "ratio": "Seconds of the notebook pipeline over those of the run.",
    "images": "Training images seen by then.",
    "compile s": "A step before the clock starts, in which networks are compiled.",
    "evaluation s": "All evaluations, which are in no other number.",
}


def speedrun_section(result: Result, colors: Colors) -> Section:
    """Show a race: its outcome in words, the curves of both sides, and a row for each run."""
    record, table = result.record, speedrun_table(result.record)
    summary, readings = summarize(record), explain(record)
    ours = record["ours"]["preset"]
    names = {_SEED: colors(_SEED), f"ours, from {ours}": colors(ours)}
    html = (
        f'<p class="summary">{escape(summary)}</p>{source_of(result.path)}{note(_CURVES_READING)}{legend(names)}'
        f"{curves_html(record, colors, str(result.path))}<h4>Every run</h4>{note(readings)}{table_html(table)}"
    )
    text = f"{escape_markdown(str(result.path))}: {escape_markdown(summary)}"
    markdown = [text, table_markdown(table), escape_markdown(readings)]
    return Section(f"Time to the original notebooks' result on {record['data']['name']}", html, "\n\n".join(markdown))


def summarize(record: Record) -> str:
    """Say who reached what, how fast, on what, and where it comes from."""
    seed, target, runs, median = (record[key] for key in ("notebook_pipeline", "target", "runs", "median"))
    preset, reached = record["ours"]["preset"], sum(run["reached"] for run in runs)
    comes = f"Ours ({preset}) comes down to the error of the original notebooks' autoencoder in"
    loop = f"the original notebooks' own loop takes {_digits(seed['seconds_to_target'])} s"
    cpu_ratio = median.get("cpu_ratio")  # earlier results have none
    by_processor = f", by the processor's time {format_number(cpu_ratio, 2)} times" if cpu_ratio else ""
    if median["ratio"]:
        missing = "" if reached == len(runs) else f", of which {reached} got there"
        outcome = (
            f"{comes} {_digits(median['seconds'])} s of training, the median of {_runs(len(runs))}{missing}; {loop}, "
            f"{format_number(median['ratio'], 2)} times as long{by_processor}."
        )
    else:
        outcome = f"{comes} {reached} of {_runs(len(runs))}: there is no median time and no ratio; {loop}."
    size = f", {side} × {side} pixels" if (side := record["data"].get("image_size")) else ""
    return (
        f"{outcome} Held out: the {target['images']:,} {target['split']} images of {record['data']['name']}{size}. "
        f"{measured_on(record)}"
    )


def _runs(count: int) -> str:
    return f"{count} run{'s' if count > 1 else ''}"


def explain(record: Record) -> str:
    """Say what the target is, what each side saw, and with which options ours ran."""
    seed, ours = record["notebook_pipeline"], record["ours"]
    options = {name: value for name, value in (ours.get("changed") or {}).items() if name not in _SAID_ABOVE}
    changed = listed([f"{name} {value}" for name, value in options.items()])
    return (
        f"Target: the MSE after the last of {seed['epochs']} epochs of the notebook pipeline, which take "
        f"{_digits(seed['seconds'])} s in all; its time is that of its first epoch that ends at or below it. "
        f"{record['gray']['note']} Ours: preset {ours['preset']}{f', with {changed}' if changed else ''}."
    )


def curves_html(record: Record, colors: Colors, source: str) -> str:
    """Draw the error of all runs over the seconds of training and over the images seen."""
    seed, ours = record["notebook_pipeline"], colors(record["ours"]["preset"])
    sides = [(seed["curve"], colors(_SEED)), *((run["curve"], ours) for run in record["runs"])]
    mse = record["target"]["mse"]
    target = f"target {format_number(mse, _MSE_DECIMALS)}"
    figures = []
    for key, unit, x_label in (("seconds", 1.0, "seconds of training"), ("images", 1e3, "thousand images seen")):
        lines = [plots.Curve(_along(curve, key) / unit, _along(curve, "mse"), color) for curve, color in sides if curve]
        drawing = plots.race(lines, mse, target, x_label, f"MSE over {x_label} in {source}")
        figures.append(figure(f"MSE over {x_label}", drawing))
    return grid(figures, "wide")


def _along(curve: Sequence[Record], key: str) -> plots.Array:
    return np.array([point[key] for point in curve], dtype=np.float64)


def speedrun_table(record: Record) -> Table:
    """Lay out the runs below the notebook pipeline that they are compared with, and their median last."""
    seed, mark, runs = record["notebook_pipeline"], record["target"]["mse"], record["runs"]
    reasons = list(dict.fromkeys(run["reason"] for run in runs if run["reason"]))
    times = [run["seconds"] for run in runs if run["reached"]]
    decimals = decimals_for(min([seed["seconds_to_target"], *times]))
    there = next(point for point in seed["curve"] if point["mse"] <= mark)
    first = {**seed, **there, "ratio": 1.0, "reached": True, "reason": None}
    lines = [_line(_SEED, first, there["mse"], decimals, reasons, ranked=False)]
    for run in runs:
        mse = run["curve"][-1]["mse"] if run["curve"] else None
        lines.append(_line(f"ours, seed {run['seed']}", run, mse, decimals, reasons))
    ratios = [run["ratio"] for run in runs if run["reached"]]
    complete = len(times) == len(runs)
    middle = [
        _with_range(record["median"]["seconds"], times if complete else [], decimals),
        _with_range(record["median"]["ratio"], ratios if complete else [], 2),
    ]
    name = f"median of {len(runs)}{' (lowest–highest)' if complete and len(runs) > 1 else ''}"
    empty = [Cell("") for _ in range(5)]
    lines.append(Line(Cell(name, bold=True), [*(Cell(text, bold=True) for text in middle), *empty]))
    headings = ("", "seconds", "ratio", "MSE", "images", "parameters", "compile s", "evaluation s")
    return Table("Every run", [Cell(name, tip=_TIPS.get(name, "")) for name in headings], lines, reasons)


def _line(
    name: str, run: Record, mse: float | None, decimals: int, reasons: Sequence[str], *, ranked: bool = True
) -> Line:
    def number(value: float | None, places: int, suffix: str = "") -> Cell:
        return Cell(DASH if value is None else format_number(value, places) + suffix)

    reached = run["reached"]
    missed = Cell(DASH, note=None if reached else reasons.index(run["reason"]) + 1)
    return Line(
        Cell(name),
        [
            number(run["seconds"], decimals) if reached else missed,
            number(run["ratio"], 2),
            number(mse, _MSE_DECIMALS),
            number(run["images"], 0),
            number(run["parameters"] / 1e6, 1, " M"),
            number(run.get("compile_seconds"), 1),
            number(run.get("evaluation_seconds"), 1),
        ],
        ranked,
    )


def _with_range(middle: float | None, values: Sequence[float], decimals: int) -> str:
    """Write a median, and in brackets between what it lies; a dash where there is none."""
    if middle is None:
        return DASH
    ends = [format_number(end, decimals) for end in (min(values), max(values))] if len(values) > 1 else []
    return format_number(middle, decimals) + (f" ({'–'.join(ends)})" if ends else "")


def _digits(value: float) -> str:
    """Write a positive number with three digits, or all of its integer part."""
    return format_number(value, decimals_for(value))
