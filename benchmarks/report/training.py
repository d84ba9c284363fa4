"""The section of trainings: their validation scores over epochs, and all losses and scores over the images seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.core import plots
from benchmarks.core.html import Colors, Section, figure, grid, legend, note
from benchmarks.core.tables import DASH, Cell, Line, Table, format_number, table_html, table_markdown
from benchmarks.report.read import Result, Results, Run
from colornet.runs.run import Run as TrainedRun

__all__ = ["epochs_table", "steps_per_epoch", "training_section"]

_CURVES = ("validation/", "loss/")
_READING = "One line a run; runs that differ in their seed share a color. Dashed: the real images."
_EPOCHS = 20  # of the original notebooks' trainings
_EPOCHS_READING = (
    "Validation images after each epoch, those of a warm start included. Where the learning rate falls until the end "
    "of a run, its twentieth epoch is not the end of a run of twenty: compare runs of different lengths, too."
)


class _Measure(NamedTuple):
    tag: str
    title: str
    decimals: int
    factors: Mapping[tuple[str, int], float]  # by data set and image size; none: as it is


def training_section(results: Results, colors: Colors) -> Section | None:
    """Draw the validation scores of all runs over epochs, then all their curves over the images that they have seen."""
    runs = results.runs
    known = dict.fromkeys(tag for run in runs for record in run.records for tag in record if record[tag] is not None)
    shown = [tag for prefix in _CURVES for tag in known if tag.startswith(prefix) and not tag.endswith("_truth")]
    if not shown:
        return None
    last = max(record["step"] * run.config["batch_size"] for run in runs for record in run.records)
    unit, x_label = (1e6, "million images") if last >= 1e6 else (1e3, "thousand images")
    figures = []
    for tag in shown:
        lines = [line for run in runs for line in _curves(run, tag, colors, run.config["batch_size"] / unit)]
        figures.append(figure(tag, plots.curves(lines, x_label, f"Curves of {tag}")))
    groups = {run.group: colors(run.group) for run in runs}
    epochs, markdown = _epochs(results, colors)
    html = (
        note(_READING) + legend(groups) + epochs + (f"<h3>All curves</h3>{grid(figures)}" if epochs else grid(figures))
    )
    return Section("Training", html, markdown)


def steps_per_epoch(run: Run) -> float | None:
    """Tell how many steps a run takes for an epoch by when it was first evaluated; None where that does not say it."""
    first = next((r["step"] for r in run.records if any(tag.startswith("validation/") for tag in r)), None)
    config = run.config
    if first is None or "eval_every" not in config or first == config.get("max_steps"):
        return None
    return float(first / min(config["eval_every"], config["epochs"]))


def _epochs(results: Results, colors: Colors) -> tuple[str, str]:
    """Draw and tabulate the scores over epochs: HTML and Markdown, empty where no run says how long an epoch is."""
    lengths = {run.path: length for run in results.runs if (length := steps_per_epoch(run))}
    runs = [run for run in results.runs if run.path in lengths]
    measures = [m for m in _measures(results.ablation, runs) if any(m.tag in r for run in runs for r in run.records)]
    if not measures:
        return "", ""
    figures = []
    for measure in measures:
        lines = []
        for run in runs:
            before = _epochs_before(run, lengths[run.path])
            for line in _curves(run, measure.tag, colors, 1 / lengths[run.path], before, _factor(measure, run)):
                lines.append(line)
        reached = max((float(line.x.max()) for line in lines), default=0.0)
        mark = (float(_EPOCHS), f"{_EPOCHS} epochs") if reached >= _EPOCHS else None
        drawing = plots.curves(lines, "epochs", f"{measure.title} over epochs", mark)
        figures.append(figure(measure.title, drawing))
    table = epochs_table(runs, lengths, measures)
    html = f"<h3>Over epochs</h3>{note(_EPOCHS_READING)}{grid(figures)}<h4>{table.title}</h4>{table_html(table)}"
    return html, f"### {table.title}\n\n{table_markdown(table)}"


def _measures(ablations: Sequence[Result], runs: Sequence[Run]) -> list[_Measure]:
    """Choose what is drawn over epochs; e, where an ablation has scored the gray images of every run's data."""
    grays = {
        (result.record["data"]["name"], result.record["data"]["image_size"]): 1 / gray
        for result in ablations
        if (gray := result.record["floors"].get("gray", {}).get("fd_cifar10_dev"))
    }
    all_known = all(_data(run) in grays for run in runs)
    fd = "validation/fd_cifar10_dev"
    distance = _Measure(fd, "e (dev), lower is better", 3, grays) if all_known else _Measure(
        fd, "FD dev, lower is better", 3, {}
    )  # fmt: skip
    return [
        distance,
        _Measure("validation/cf", "CF, nearer to the real images is better", 1, {}),
        _Measure("validation/psnr", "PSNR, higher is better", 2, {}),
    ]


def _data(run: Run) -> tuple[str, int]:
    return Path(str(run.config.get("data"))).name, int(run.config.get("image_size", 0))


def _factor(measure: _Measure, run: Run) -> float:
    return measure.factors.get(_data(run), 1.0)


def _epochs_before(run: Run, length: float) -> float:
    """Return the epochs that the generator had seen before the run began."""
    return TrainedRun(run.path).images_before / (length * run.config["batch_size"])


def epochs_table(runs: Sequence[Run], lengths: Mapping[Path, float], measures: Sequence[_Measure]) -> Table:
    """Lay out the scores of every run at the notebooks' number of epochs, where evaluated there, and its last."""
    names = [measure.title.partition(",")[0] for measure in measures]
    heads = [f"{name} {when}" for name in names for when in (f"at {_EPOCHS}", "last")]
    lines = []
    for run in runs:
        length, cells, epochs = lengths[run.path], [], 0.0
        before = _epochs_before(run, length)
        for measure in measures:
            factor = _factor(measure, run)
            found = {
                before + r["step"] / length: r[measure.tag] * factor
                for r in run.records
                if r.get(measure.tag) is not None
            }
            there = next((value for epoch, value in found.items() if abs(epoch - _EPOCHS) < 0.01), None)
            epochs = max([epochs, *found])
            values = (there, next(reversed(found.values()), None))
            cells += [Cell(DASH if v is None else format_number(v, measure.decimals)) for v in values]
        lines.append(Line(Cell(run.path.resolve().name), [Cell(format_number(epochs, 0)), *cells]))
    return Table(f"After {_EPOCHS} epochs and in the end", [Cell(text) for text in ("", "epochs", *heads)], lines)


def _curves(
    run: Run, tag: str, colors: Colors, scale: float, start: float = 0.0, factor: float = 1.0
) -> Iterator[plots.Curve]:
    """Draw a tag of a run over its steps × scale, from a start, and dashed what the real images have."""
    for name in (tag, f"{tag}_truth"):
        points = [(record["step"], record[name]) for record in run.records if record.get(name) is not None]
        if points:
            steps, values = np.array(points, dtype=np.float64).T
            yield plots.Curve(start + steps * scale, values * factor, colors(run.group), dashed=name != tag)
