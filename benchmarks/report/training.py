"""The section of trainings: their validation scores over epochs, and all losses and scores over the images seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.core import plots
from benchmarks.core.colors import Colors
from benchmarks.core.record import Result
from benchmarks.core.sections import Block, Figure, Figures, Heading, Legend, Note, PageOnly, Section
from benchmarks.core.tables import Table, format_number, headings, line_of
from benchmarks.report.read import group_of
from colornet.runs.run import Run

_READING = "One line is one run; runs that differ in their seed share a color. Dashed: the real images."
_EPOCHS = 20  # of the original notebooks' trainings
_EPOCHS_READING = (
    "Validation images after each epoch, counting the epochs of a warm start. Where the learning rate falls until the "
    "end of a run, its twentieth epoch is not the end of a run of twenty: compare runs of different lengths, too."
)


class _Measure(NamedTuple):
    """A score that is drawn over epochs, in units that may depend on the data set and the size of its images."""

    tag: str
    title: str
    decimals: int
    units: Mapping[tuple[str, int], float] = {}

    def values(self, run: Run) -> dict[int, float]:
        """Return the scores of a run by step."""
        unit = self.units.get(_data(run), 1.0)
        return {r["step"]: r[self.tag] / unit for r in run.records if r.get(self.tag) is not None}


# A run, the epochs that its weights had seen before its first step, and the steps of an epoch.
_Timed = tuple[Run, float, float]


def training_section(runs: Sequence[Run], ablations: Sequence[Result], colors: Colors) -> Section | None:
    """Draw the validation scores of all runs over epochs, then all their curves over the images that they have seen."""
    known = dict.fromkeys(tag for run in runs for record in run.records for tag in record if record[tag] is not None)
    tags = [tag for tag in known if tag.startswith(("validation/", "loss/")) and not tag.endswith("_truth")]
    if not tags:
        return None
    last = max(record["step"] * run.config.batch_size for run in runs for record in run.records)
    unit, x_label = (1e6, "million images") if last >= 1e6 else (1e3, "thousand images")
    figures = []
    for tag in sorted(tags, key=lambda tag: tag.startswith("loss/")):  # scores first
        lines = [line for run in runs for line in _curves(run, tag, colors, 0.0, unit / run.config.batch_size)]
        figures.append(Figure(tag, [plots.curves(lines, x_label, f"Curves of {tag}")]))
    legend = Legend({group: colors(group) for group in map(group_of, runs)})
    epochs = _over_epochs(runs, ablations, colors)
    heading: list[Block] = [Heading("All curves")] if epochs else []
    return Section(
        "Training", blocks=[PageOnly([Note(_READING), legend]), *epochs, PageOnly([*heading, Figures(figures)])]
    )


def steps_per_epoch(run: Run) -> float | None:
    """Tell how many steps an epoch has by when the run was first evaluated; None where that does not say it."""
    if not run.validations or run.validations[0]["step"] == run.config.max_steps:
        return None
    return run.validations[0]["step"] / min(run.config.eval_every, run.config.epochs)


def _over_epochs(runs: Sequence[Run], ablations: Sequence[Result], colors: Colors) -> list[Block]:
    """Draw and tabulate the scores over epochs; empty where no run says how long an epoch is."""
    timed = [
        (run, run.images_before / (length * run.config.batch_size), length)
        for run in runs
        if (length := steps_per_epoch(run))
    ]
    known = [run for run, *_ in timed]
    measures = [measure for measure in _measures(ablations, known) if any(map(measure.values, known))]
    if not measures:
        return []
    figures = []
    for measure in measures:
        lines = [
            line
            for run, before, length in timed
            for line in _curves(run, measure.tag, colors, before, length, measure.units.get(_data(run), 1.0))
        ]
        reached = max((float(line.x.max()) for line in lines), default=0.0)
        mark = (float(_EPOCHS), f"{_EPOCHS} epochs") if reached >= _EPOCHS else None
        drawing = plots.curves(lines, "epochs", f"{measure.title} over epochs", mark)
        figures.append(Figure(measure.title, [drawing]))
    reading = PageOnly([Heading("Over epochs"), Note(_EPOCHS_READING), Figures(figures)])
    return [reading, epochs_table(timed, measures)]


def _measures(ablations: Sequence[Result], runs: Sequence[Run]) -> list[_Measure]:
    """Choose what is drawn over epochs; e, where an ablation has scored the gray images of every run's data."""
    grays = {
        (result.record["data"]["name"], result.record["data"]["image_size"]): gray
        for result in ablations
        if (gray := result.record["floors"].get("gray", {}).get("fd_cifar10_dev"))
    }
    name, units = ("e (dev)", grays) if all(_data(run) in grays for run in runs) else ("FD dev", {})
    return [
        _Measure("validation/fd_cifar10_dev", f"{name}, lower is better", 3, units),
        _Measure("validation/cf", "CF, nearer to the real images is better", 1),
        _Measure("validation/psnr", "PSNR, higher is better", 2),
    ]


def _data(run: Run) -> tuple[str, int]:
    return Path(run.config.data).name, run.config.image_size


def epochs_table(runs: Sequence[_Timed], measures: Sequence[_Measure]) -> Table:
    """Lay out the scores of every run at the notebooks' number of epochs, where evaluated there, and its last."""
    names = [measure.title.partition(",")[0] for measure in measures]
    titles = ["run", "epochs", *(f"{name} {when}" for name in names for when in (f"at {_EPOCHS}", "last"))]
    lines = []
    for run, before, length in runs:
        cells, epochs = [], 0.0
        for measure in measures:
            found = {before + step / length: value for step, value in measure.values(run).items()}
            there = next((value for epoch, value in found.items() if abs(epoch - _EPOCHS) < 0.01), None)
            epochs = max([epochs, *found])
            last = next(reversed(found.values()), None)
            cells += [format_number(value, measure.decimals) for value in (there, last)]
        lines.append(line_of(run.path.resolve().name, format_number(epochs, 0), *cells))
    return Table(f"After {_EPOCHS} epochs and in the end", headings(titles), lines)


def _curves(
    run: Run, tag: str, colors: Colors, start: float, steps_per_unit: float, unit: float = 1.0
) -> Iterator[plots.Curve]:
    """Draw a tag of a run, in units, over its steps in units of x after a start; dashed what the real images have."""
    for name in (tag, f"{tag}_truth"):
        points = [(record["step"], record[name]) for record in run.records if record.get(name) is not None]
        if points:
            steps, values = np.array(points, dtype=np.float64).T
            yield plots.Curve(start + steps / steps_per_unit, values / unit, colors(group_of(run)), dashed=name != tag)
