"""The section of trainings: validation over epochs, and where an epoch's length comes from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks.report.training import steps_per_epoch
from colornet.config import TrainConfig
from colornet.runs.run import Run
from tests.benchmarks.ablation.records import ablation_record
from tests.benchmarks.report.records import Outline, Record, make, table_after, write_json


def write_epochs(folder: Path, epochs: int, warm: int = 0) -> Path:
    """Write a run of 100 steps of 8 images an epoch, evaluated every second epoch, after `warm` images of another."""
    config = TrainConfig(batch_size=8, epochs=epochs, eval_every=2, data="/data/cifar10-jpeg")
    write_json(folder / "config.json", dataclasses.asdict(config))
    start = {"step": 0} | ({"init_from": {"run": "ae", "step": 0, "images": warm}} if warm else {})
    (folder / "provenance.json").write_text(json.dumps([start]))
    records = []
    for epoch in range(2, epochs + 1, 2):
        scores = {"cf": 10.0 + epoch, "cf_truth": 30.0, "psnr": 24 + epoch / 100, "fd_cifar10_v2_dev": 0.8 / epoch}
        records.append({"step": 100 * epoch} | {f"validation/{name}": value for name, value in scores.items()})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_epochs_are_those_of_the_runs_and_twenty_is_marked(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_epochs(runs / "ae-0", 40)
    write_epochs(runs / "cgan-0", 16, warm=4 * 800)
    write_epochs(runs / "short-0", 4)
    page, markdown = make(runs, tmp_path / "out")
    assert Outline(page).captions[:3] == [
        "FD dev, lower is better", "CF, nearer to the real images is better", "PSNR, higher is better",
    ]  # fmt: skip
    drawing = page.partition('aria-label="CF, nearer to the real images is better over epochs"')[2].partition("</svg>")[
        0
    ]
    assert "20 epochs" in drawing
    shown = table_after(markdown, "### After 20 epochs and at the end")
    assert [line["epochs"] for line in shown.values()] == ["40", "20", "4"]
    assert [line["CF at 20"] for line in shown.values()] == ["30.0", "26.0", "–"]  # the warm start's four are counted
    assert [line["CF last"] for line in shown.values()] == ["50.0", "26.0", "14.0"]
    assert shown["ae-0"]["FD dev at 20"] == "0.040"


def test_runs_of_older_presets_have_the_names_of_today(tmp_path: Path) -> None:
    write_epochs(tmp_path / "runs" / "seed-ae-0", 4)
    page, markdown = make(tmp_path / "runs", tmp_path / "out")
    assert [*table_after(markdown, "### After 20 epochs and at the end")] == ["notebook-ae-0"]
    assert "notebook-ae</" in page


def test_distances_are_shares_of_gray_where_an_ablation_knows_it(tmp_path: Path) -> None:
    write_epochs(tmp_path / "results" / "runs" / "ae-0", 4)
    (tmp_path / "results" / "ablation.json").write_text(json.dumps(ablation_record()))
    page, markdown = make(tmp_path / "results", tmp_path / "out")
    assert table_after(markdown, "### After 20 epochs and at the end")["ae-0"]["e (dev) last"] == "0.250"
    drawing = page.partition('aria-label="e (dev), lower is better over epochs"')[2].partition("</svg>")[0]
    assert drawing
    assert "20 epochs" not in drawing  # no run is that long


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, 100.0), ({"epochs": 1}, 200.0), ({"max_steps": 200}, None)],
)
def test_length_of_an_epoch_follows_from_the_first_evaluation(
    changes: Record, expected: float | None, tmp_path: Path
) -> None:
    run = write_epochs(tmp_path / "run", 4)
    config = {**json.loads((run / "config.json").read_text()), **changes}
    (run / "config.json").write_text(json.dumps(config))
    assert steps_per_epoch(Run(run)) == expected
