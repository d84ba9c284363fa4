"""What a run logs: TensorBoard events, `metrics.jsonl` and sample images."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import custom_scalars, hparams

from colornet.config import TrainConfig, unused_options
from colornet.files import finite_or_none, replacing, write_text
from colornet.metrics.histograms import BIN, draw_planes
from colornet.objectives import Charts
from colornet.runs.run import Run
from colornet.runs.run_dir import RunDir
from colornet.runs.saved_config import FREE_ON_RESUME
from colornet.tables import Cell, Table, line_of
from colornet.training.tracking import Trackers

# TensorBoard shows the final values of these beside the hyperparameters.
HEADLINES = [f"validation/{name}" for name in ("fd_cifar10_v2_dev", "cf", "delta_cf", "ciede2000", "psnr")]

# Charts that every run has. Those that two runs share must be the same to the letter: TensorBoard joins the layouts of
# all runs and shows a chart that differs in anything as another one.
QUALITY_CHARTS: Charts = {
    "color": {
        "colorfulness CF, of output and truth": ("validation/cf",),
        "distance from the truth (fd_cifar10_v2_dev)": ("validation/fd_cifar10_v2_dev",),
        "accuracy of a classifier that sees the colorings": ("validation/accuracy_cifar10_v2_dev",),
    },
    "fidelity": {"PSNR (dB)": ("validation/psnr",), "CIEDE2000": ("validation/ciede2000",)},
}
SPEED_CHARTS: Charts = {
    "speed": {"images per second": ("speed/images_per_second",), "peak memory (GiB)": ("speed/peak_memory_gib",)}
}

# TensorBoard gives a run one color. What is compared with it in one chart is therefore another run, in a subfolder.
_OTHER_RUNS = {
    "validation/cf_truth": ("truth", "validation/cf"),
    "validation/reconstruction": ("validation", "loss/reconstruction"),
}


class RunLog:
    """The curves of one run in TensorBoard and in `metrics.jsonl`, one record per line.

    A run that resumes at `step` first drops what was logged beyond it, and a point of the training curves after step
    `since`, which ended too early: its steps belong to the next one. `charts` are those of the objective, `tags` the
    curves that the run has from all of its starts.
    """

    def __init__(
        self,
        run_dir: RunDir,
        config: TrainConfig,
        step: int,
        since: int,
        charts: Charts,
        trackers: Trackers | None = None,
    ) -> None:
        self.run_dir = run_dir
        self.trackers = trackers
        folder = self.folder = run_dir.path
        self.charts = {**QUALITY_CHARTS, **charts, **SPEED_CHARTS}
        # Damaged lines are dropped, too: a crash may leave some, and a log is not a reason to refuse a resume.
        lines = (record for record in Run(folder).lines if record is not None)
        kept = [record for record in lines if record["step"] <= (step if "validation/cf" in record else since)]
        self.tags = {tag for record in kept for tag in record} - {"step"}
        write_text(folder / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in kept))
        self.records = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        # TensorBoard forgets events from `purge_step` on that earlier files of the folder hold.
        self.writer = SummaryWriter(str(folder), purge_step=step + 1)
        others = {name for name, _ in _OTHER_RUNS.values()}
        self.others = {name: SummaryWriter(str(folder / name), purge_step=step + 1) for name in others}
        fields = dataclasses.asdict(config)
        values = {
            name: value if type(value) in (int, float) else str(value)  # of a bool, torch would make 0 or 1
            for name, value in fields.items()
            if name not in FREE_ON_RESUME | unused_options(config)
        }
        experiment, session_start, self.session_end = hparams(values, dict.fromkeys(HEADLINES, 0.0))
        self._add(experiment, session_start)
        if step == 0:
            self.writer.add_text("run/config", _table(fields), step)
        if starts := Run(folder).starts:
            versions = ", ".join(f"{name} {version}" for name, version in starts[-1].get("versions", {}).items())
            self.writer.add_text("run/start", _table({**starts[-1], "versions": versions}), step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each of the named curves; `OSError` if the run folder has gone."""
        self.run_dir.require()
        for tag, value in values.items():
            if tag in _OTHER_RUNS:
                run, shown = _OTHER_RUNS[tag]
                self.others[run].add_scalar(shown, value, step)
            else:
                self.writer.add_scalar(tag, value, step)
        record = {"step": step, **{tag: finite_or_none(value) for tag, value in values.items()}}
        self.records.write(json.dumps(record) + "\n")
        self.records.flush()
        if self.trackers is not None:
            self.trackers.log(
                step, {tag: value for tag, value in record.items() if tag != "step" and value is not None}
            )
        if not values.keys() <= self.tags:
            self.tags |= values.keys()
            self._add(custom_scalars(_layout(self.charts, self.tags)), step=step)  # TensorBoard uses the last of a run

    def evaluation(self, step: int, summary: Mapping[str, float], grid: Tensor, planes: Tensor, chroma: Tensor) -> None:
        """Log an evaluation: its numbers, a uint8 picture (3, H, W) of samples, the histograms of `ColorCounts`."""
        first = "validation/cf" not in self.tags
        self.scalars(step, {f"validation/{name}": value for name, value in summary.items()})
        self.writer.add_image("samples/gray, output, truth", grid, step)
        with replacing(self.folder / "samples" / f"step-{step:08d}.png") as path:
            Image.fromarray(grid.permute(1, 2, 0).numpy()).save(path)  # (height, width, 3)
        self.writer.add_image("colors/a*b* of output, truth", draw_planes(planes), step)
        output, truth = chroma
        self._histogram(step, "chroma/output", output)
        if first:  # the truth does not change
            self._histogram(step, "chroma/truth", truth)

    def _histogram(self, step: int, tag: str, counts: Tensor) -> None:
        limits = BIN * torch.arange(1, len(counts) + 1, dtype=torch.float64)
        centers = limits - BIN / 2
        total, squares = (float((counts * powers).sum()) for powers in (centers, centers**2))
        self.writer.add_histogram_raw(
            tag, 0.0, limits[-1].item(), int(counts.sum()), total, squares, limits.tolist(), counts.tolist(), step
        )

    def close(self, *, finished: bool) -> None:
        """Flush everything, and mark a finished run as such among the hyperparameters."""
        if finished:
            self._add(self.session_end)
        for writer in (self.writer, *self.others.values()):
            writer.close()
        self.records.close()
        if self.trackers is not None:
            self.trackers.close()

    def _add(self, *summaries: Any, step: int = 0) -> None:
        for summary in summaries:
            self.writer._get_file_writer().add_summary(summary, step)


def _layout(charts: Charts, tags: set[str]) -> dict[str, dict[str, tuple[str, list[str]]]]:
    """Choose the charts of which all curves exist, in the form that `custom_scalars` takes: regular expressions."""
    layout: dict[str, dict[str, tuple[str, list[str]]]] = {}
    for group, members in charts.items():
        for title, wanted in members.items():
            if set(wanted) <= tags:
                curves = [f"{re.escape(tag)}$" for tag in wanted]  # without $, `validation/cf` matches `…/cf_truth`
                layout.setdefault(group, {})[title] = "Multiline", curves
    return layout


def _table(values: Mapping[str, Any]) -> str:
    """Lay out named values as a table in Markdown."""
    lines = [line_of(name, str(value)) for name, value in values.items()]
    return Table("", [Cell("name"), Cell("value")], lines, words=frozenset({"value"})).to_markdown()
