"""The section of trainings: their validation scores over epochs, and all losses and scores over the images seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.core import plots
from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Figure, Figures, Heading, Legend, Note, PageOnly, Section
from benchmarks.report.read import group_of, name_of
from colornet.runs.run import Run
from colornet.tables import Column, table_of

_READING = "One line is one run; runs that differ in their seed share a color. Dashed: the real images."
_EPOCHS = 20  # of the original notebooks' trainings
_EPOCHS_READING = (
    "Validation images after each epoch, counting the epochs of a warm start. If the learning rate decays over the "
    "whole run, epoch 20 of a longer run differs from the end of a run of 20: also compare runs of different lengths."
)


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
    """Return the steps of an epoch, which follow from the first evaluation; None where they do not."""
    if not run.validations or run.validations[0]["step"] == run.config.max_steps:
        return None
    return run.validations[0]["step"] / min(run.config.eval_every, run.config.epochs)


def _over_epochs(runs: Sequence[Run], ablations: Sequence[Result], colors: Colors) -> list[Block]:
    """Draw and tabulate the scores over epochs; empty where no run says how long an epoch is."""
    timed = [(run, length) for run in runs if (length := steps_per_epoch(run))]
    grays = {
        (result.record["data"]["name"], result.record["data"]["image_size"]): gray
        for result in ablations
        if (gray := result.record["floors"].get("gray", {}).get("fd_cifar10_v2_dev"))
    }
    distance = "e (dev)" if all(_data(run) in grays for run, _ in timed) else "FD dev"  # e where gray is known
    rows: list[Record] = [{"run": name_of(run), "epochs": 0.0} for run, _ in timed]
    columns = [Column("run", "run"), Column("epochs", "epochs", 0)]
    figures = []
    for tag, name, better, decimals in (
        ("validation/fd_cifar10_v2_dev", distance, "lower is better", 3),
        ("validation/cf", "CF", "nearer to the real images is better", 1),
        ("validation/psnr", "PSNR", "higher is better", 2),
    ):
        drawn: list[plots.Curve] = []
        at, last = f"{name} at {_EPOCHS}", f"{name} last"
        for row, (run, length) in zip(rows, timed, strict=True):
            before = run.images_before / (length * run.config.batch_size)
            found = [*_curves(run, tag, colors, before, length, grays[_data(run)] if name == "e (dev)" else 1.0)]
            if found:
                x, y = found[0].x.tolist(), found[0].y.tolist()
                there = next((value for epoch, value in zip(x, y, strict=True) if abs(epoch - _EPOCHS) < 0.01), None)
                row |= {"epochs": max(row["epochs"], *x), at: there, last: y[-1]}
            drawn += found
        if drawn:
            mark = (float(_EPOCHS), f"{_EPOCHS} epochs") if max(line.x.max() for line in drawn) >= _EPOCHS else None
            title = f"{name}, {better}"
            figures.append(Figure(title, [plots.curves(drawn, "epochs", f"{title} over epochs", mark)]))
            columns += [Column(at, at, decimals), Column(last, last, decimals)]
    if not figures:
        return []
    page = PageOnly([Heading("Over epochs"), Note(_EPOCHS_READING), Figures(figures)])
    return [page, table_of(f"After {_EPOCHS} epochs and at the end", columns, rows)]


def _data(run: Run) -> tuple[str, int]:
    return Path(run.config.data).name, run.config.image_size


def _curves(
    run: Run, tag: str, colors: Colors, start: float, steps_per_unit: float, unit: float = 1.0
) -> Iterator[plots.Curve]:
    """Yield the curve of a tag over start + steps / steps_per_unit and, dashed, that of the real images."""
    for name in (tag, f"{tag}_truth"):
        points = [(record["step"], record[name]) for record in run.records if record.get(name) is not None]
        if points:
            steps, values = np.array(points, dtype=np.float64).T
            yield plots.Curve(start + steps / steps_per_unit, values / unit, colors(group_of(run)), dashed=name != tag)
