"""The report on ablations, on scaling, and on validation over epochs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.ablation.tables import format_table
from benchmarks.core.plots import NEUTRAL
from benchmarks.report.read import Run
from benchmarks.report.training import steps_per_epoch
from benchmarks.scaling.measure import add_efficiency, describe_link, describe_models
from benchmarks.scaling.model import Compute, Link
from benchmarks.scaling.options import ScalingOptions
from benchmarks.scaling.worker import SMALL
from tests.benchmarks.report.records import ORIGIN, Outline, Record, make, table_after, write_json

COMPUTE, LINK = Compute(0.002, 1e-4), Link(2e-5, 2.5e9)


def ablation_record() -> Record:
    """Make a result of the kind "ablation": two questions, of which one has two seeds, a failure and an odd name."""

    def run(e: float) -> Record:
        values = {"e": e, "fd_cifar10_dev": 0.8 * e, "accuracy_cifar10_dev": 0.75, "cf": 20.0, "delta_cf": -10.0,
                  "delta_cf_image": 14.0, "psnr": 24.5, "ciede2000": 10.9}  # fmt: skip
        return {"values": values, "images_seen": 45_000, "training_flops": 9e13, "training_seconds": 150.0}

    runs = {"ae-0": run(0.5), "ae-1": run(0.52), "ae-l2-0": run(0.625), "ae-l2-1": run(0.675), "ae-<b>-0": run(0.4)}
    variants = {
        name: {"preset": "ae", "runs": [r for r in runs if r[:-2] == name], "parameters": {"generator": 140_000}}
        for name in ("ae", "ae-l2", "ae-<b>")
    }
    variants["ae-l2"]["options"] = {"reconstruction_loss": "mse"}
    data = {"name": "cifar10-jpeg", "split": "validation", "images": 5000, "image_size": 32}
    questions = {"Loss": ["ae", "ae-l2", "ae-huber"], "Name": ["ae", "ae-<b>"], "Never": ["cgan", "cgan-bce"]}
    floors = {"gray": run(1.0)["values"] | {"fd_cifar10_dev": 0.8}}
    return {
        "kind": "ablation", **ORIGIN, "data": data, "notes": "e is a share.", "questions": questions, "floors": floors,
        "variants": variants, "runs": runs, "failures": {"ae-huber-0": "exit code 1"},
    }  # fmt: skip


def scaling_record() -> Record:
    """Make a result of the kind "scaling" of points that are set, as the suite does of those that it measures."""
    options = ScalingOptions(presets=("ae",), batch_sizes=(32, 64), width=8, blocks=1, predict=(1, 2, 64))
    points: list[Record] = []
    for processes in (1, 2):
        for images in (32, 64):
            alone = COMPUTE.step(images)
            seconds = {"step": alone, "input": 1e-4}
            size = 800_000
            if processes > 1:
                summed = LINK.all_reduce(processes, size)
                seconds |= {"compute": alone, "communication": summed / 2, "step": alone + summed / 2}
                seconds |= {"all_reduce": summed, "small_all_reduce": LINK.all_reduce(processes, SMALL)}
            points.append({"preset": "ae", "processes": processes, "images": images, "bucket_mb": 25.0,
                           "gradient_bytes": size, "seconds": seconds,
                           "images_per_second": processes * images / seconds["step"]})  # fmt: skip
    for point in points:
        add_efficiency(point, points)
    record = {"kind": "scaling", **ORIGIN, "data": {"name": "sample"}, "points": points}
    return record | {"link": describe_link(options, points), "models": describe_models(options, points)}


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("ablation")
    return make(write_json(root / "results" / "ablation.json", ablation_record()), root / "out")


def test_ablation_has_the_numbers_of_its_own_table(ablated: tuple[str, str]) -> None:
    _, markdown = ablated
    printed = [
        [cell.strip(" |") for cell in line.split(" | ")] for line in format_table(ablation_record()).splitlines()
    ]
    shown = table_after(markdown, "### Loss")
    assert [*shown] == ["ae", "ae-l2", "ae-huber (failed)"]
    for line in printed[3:5]:
        assert [*shown[line[1]].values()] == line[2:]
    assert shown["ae"]["e"] == "0.510 ± 0.014"
    assert table_after(markdown, "### no model")["gray"]["e"] == "1.000"
    assert "### Never" not in markdown


def test_ablation_draws_every_run_by_question(ablated: tuple[str, str]) -> None:
    page, _ = ablated
    assert Outline(page).captions == ["Loss", "Name"]
    drawings = re.findall(r'aria-label="e by variant, [^"]*".*?</svg>', page, re.DOTALL)
    assert [len(re.findall(r"<use [^>]*fill: #[^>]*>", drawing)) for drawing in drawings] == [4, 3]
    assert "0.650" in drawings[0]
    grays = [len(re.findall(rf"<use [^>]*fill: {NEUTRAL}", drawing)) for drawing in drawings]
    assert grays == [2, 3]  # runs of baselines; in the second plot both variants are presets without changes
    assert (
        "3 variants of the recipe, 1 to 2 seeds each, after 45,000 training images, on the 5,000 validation images of "
        "cifar10-jpeg. 1 failed." in page
    )
    assert "<b>" not in page


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("scaling")
    return make(write_json(root / "results" / "scaling.json", scaling_record()), root / "out")


def test_scaling_has_its_points_its_link_and_what_is_predicted(scaled: tuple[str, str]) -> None:
    page, markdown = scaled
    record = scaling_record()
    lines = [line for line in markdown.splitlines() if line.startswith("| ae |")]
    assert len(lines) == len(record["points"])
    cells = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    point = record["points"][2]
    assert cells[:4] == ["ae", "2", "32", "25"]
    assert cells[5] == f"{1000 * point['seconds']['step']:.1f}"
    assert cells[9:] == [f"{100 * point['weak_efficiency']:.0f} %", f"{100 * point['strong_efficiency']:.0f} %"]
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]][-1] == "–"  # no process had 128 images alone
    assert "Link, measured: 20 µs a message, 2.50 GB/s." in page
    ninety = table_after(markdown, "ae: images a process from which 90 % efficiency is predicted")
    for row in record["models"][0]["images_for_90_percent"]:
        assert ninety[str(row["processes"])]["nothing hidden"].replace(",", "") == str(row["low"] or "none")
    assert Outline(page).captions == ["ae, weak scaling", "ae, strong scaling"]
    drawing = page.partition("Strong scaling of ae")[2].partition("</svg>")[0]
    assert "64 images in all" in drawing


def test_scaling_without_a_link_has_points_alone(tmp_path: Path) -> None:
    record = scaling_record() | {"link": None, "models": []}
    page, _ = make(write_json(tmp_path / "results" / "scaling.json", record), tmp_path / "out")
    assert "No model of more" in page
    assert Outline(page).captions == []


# Over epochs


def write_epochs(folder: Path, epochs: int, warm: int = 0) -> Path:
    """Write a run of 100 steps of 8 images an epoch, evaluated every second epoch, after `warm` images of another."""
    folder.mkdir(parents=True)
    config = {"seed": 0, "batch_size": 8, "epochs": epochs, "eval_every": 2, "max_steps": None, "image_size": 32}
    (folder / "config.json").write_text(json.dumps(config | {"data": "/data/cifar10-jpeg"}))
    start = {"step": 0} | ({"init_from": {"run": "ae", "step": 0, "images": warm}} if warm else {})
    (folder / "provenance.json").write_text(json.dumps([start]))
    records = []
    for epoch in range(2, epochs + 1, 2):
        scores = {"cf": 10.0 + epoch, "cf_truth": 30.0, "psnr": 24 + epoch / 100, "fd_cifar10_dev": 0.8 / epoch}
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
    shown = table_after(markdown, "### After 20 epochs and in the end")
    assert [line["epochs"] for line in shown.values()] == ["40", "20", "4"]
    assert [line["CF at 20"] for line in shown.values()] == ["30.0", "26.0", "–"]  # the warm start's four are counted
    assert [line["CF last"] for line in shown.values()] == ["50.0", "26.0", "14.0"]
    assert shown["ae-0"]["FD dev at 20"] == "0.040"


def test_distances_are_shares_of_gray_where_an_ablation_knows_it(tmp_path: Path) -> None:
    write_epochs(tmp_path / "results" / "runs" / "ae-0", 4)
    (tmp_path / "results" / "ablation.json").write_text(json.dumps(ablation_record()))
    page, markdown = make(tmp_path / "results", tmp_path / "out")
    assert table_after(markdown, "### After 20 epochs and in the end")["ae-0"]["e (dev) last"] == "0.250"
    drawing = page.partition('aria-label="e (dev), lower is better over epochs"')[2].partition("</svg>")[0]
    assert drawing
    assert "20 epochs" not in drawing  # nobody went that far


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, 100.0), ({"epochs": 1}, 200.0), ({"max_steps": 200}, None), ({"eval_every": None}, None)],
)
def test_length_of_an_epoch_follows_from_the_first_evaluation(
    changes: Record, expected: float | None, tmp_path: Path
) -> None:
    config = {"batch_size": 8, "epochs": 4, "eval_every": 2, "max_steps": None} | changes
    config = {name: value for name, value in config.items() if name != "eval_every" or value}
    records = [{"step": 10, "loss/l1": 1.0}, {"step": 200, "validation/cf": 1.0}]
    assert steps_per_epoch(Run(tmp_path, config, records)) == expected
