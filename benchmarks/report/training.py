"""The section of trainings: the losses and validation scores of all runs as curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.report import plots
from benchmarks.report.parts import Colors, Section, figure, grid, legend, note
from benchmarks.report.results import Run

__all__ = ["training_section"]

_CURVES = ("validation/", "loss/")
_READING = "One line a run; runs that differ in their seed share a colour. Dashed: the real images."


def training_section(runs: Sequence[Run], colors: Colors) -> Section | None:
    """Draw the losses and validation scores of all runs over the images that they have seen."""
    known = dict.fromkeys(tag for run in runs for record in run.records for tag in record if record[tag] is not None)
    shown = [tag for prefix in _CURVES for tag in known if tag.startswith(prefix) and not tag.endswith("_truth")]
    if not shown:
        return None
    last = max(record["step"] * run.config["batch_size"] for run in runs for record in run.records)
    unit, x_label = (1e6, "million images") if last >= 1e6 else (1e3, "thousand images")
    figures = []
    for tag in shown:
        lines = [line for run in runs for line in _curves(run, tag, unit, colors)]
        figures.append(figure(tag, plots.curves(lines, x_label, f"Curves of {tag}")))
    groups = {run.group: colors(run.group) for run in runs}
    return Section("Training", note(_READING) + legend(groups) + grid(figures))


def _curves(run: Run, tag: str, unit: float, colors: Colors) -> Iterator[plots.Curve]:
    for name in (tag, f"{tag}_truth"):
        points = [(record["step"], record[name]) for record in run.records if record.get(name) is not None]
        if points:
            steps, values = np.array(points, dtype=np.float64).T
            yield plots.Curve(steps * run.config["batch_size"] / unit, values, colors(run.group), dashed=name != tag)
