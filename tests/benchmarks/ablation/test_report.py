"""What an ablation shows: its table, which questions it has, and the plot of its curves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.ablation.report import answered, draw, tables
from benchmarks.core.plots import NEUTRAL
from benchmarks.core.sections import Verdicts
from colornet.tables import Table
from tests.benchmarks.ablation.records import Record, ablation_record
from tests.benchmarks.report.records import Outline, make, write_json


def table_of(record: Record) -> Table:
    (table,) = (block for block in tables(record) if isinstance(block, Table))
    return table


def test_table_groups_by_question_and_shows_the_spread_of_seeds() -> None:
    values = {"e": 0.5, "fd_cifar10_v2_dev": 1.0, "cf": 20.0, "delta_cf": -0.04, "delta_cf_image": 5.0, "psnr": 24.0}
    run = {"values": values, "images_seen": 90_000, "training_flops": 9e13, "training_seconds": 100.0}
    other = {**run, "values": {**values, "e": 0.7, "cf": 22.0}, "training_seconds": 200.0}
    record = {
        "floors": {"gray": {**values, "e": 1.0, "accuracy_cifar10_v2_dev": 0.5}},
        "questions": {"Loss": ["a", "b", "c", "never"], "Alone": ["a"]},
        "variants": {
            "a": {"runs": ["a-0", "a-1"], "parameters": {"generator": 1_500_000, "discriminator": 3_000}},
            "b": {"runs": ["b-0"], "parameters": {"generator": 1_500_000}},
        },
        "runs": {"a-0": run, "a-1": other, "b-0": run},
        "failures": {"c-0": "exit code 1"},
    }
    table = table_of(record)
    assert [heading.text for heading in table.headings][:4] == ["variant", "e", "FD dev", "Acc. %"]
    assert [(line.group, line.name.text, line.ranked) for line in table.lines] == [
        ("Loss", "a", True), ("Loss", "b", True), ("Loss", "c (failed)", False), ("no model", "gray", False),
    ]  # fmt: skip
    a, _, failed, gray = ([cell.text for cell in line.cells] for line in table.lines)
    assert gray[:3] == ["1.000", "1.000", "50.0"]
    assert a[:2] == ["0.600 ± 0.141", "1.000 ± 0.000"]
    assert a[3:5] == ["21.0 ± 1.4", "0.0 ± 0.0"]
    assert a[-5:] == ["90.0", "1.50", "0.003", "1,000", "150"]
    assert {*failed} == {"–"}
    shown = [[cell.strip() for cell in line.split(" | ")] for line in table.to_markdown().splitlines()]
    assert [line[:2] for line in shown if line[0] != "| ---"] == [
        ["| question", "variant"], ["| Loss", "a"], ["|", "b"], ["|", "*c (failed)*"], ["| no model", "*gray*"],
    ]  # fmt: skip


def test_questions_of_which_only_the_common_baselines_were_trained_are_left_out() -> None:
    run = {"values": {"e": 0.5}, "images_seen": 1, "training_flops": 1.0, "training_seconds": 1.0}
    record = {
        "floors": {},
        "questions": {
            "Loss": ["gan", "hinge", "never"],
            "Warm start": ["hinge", "warm"],
            "AE": ["ae", "ae-l2"],
            "Size": ["ae", "gan", "wide"],
            "Kind": ["gan", "ae"],
        },
        "variants": {name: {"runs": [name], "parameters": {"generator": 1}} for name in ("gan", "hinge", "ae")},
        "runs": dict.fromkeys(("gan", "hinge", "ae"), run),
        "failures": {},
    }
    asked = {"Loss": ["gan", "hinge"], "Kind": ["gan", "ae"]}
    assert [(line.group, line.name.text) for line in table_of(record).lines] == [
        (question, name) for question, names in asked.items() for name in names
    ]
    assert answered(record) == asked  # what the page and the PNG draw


def test_curves_are_drawn_by_question_or_together(tmp_path: Path) -> None:
    run = {"curve": {"images": [10, 20], "loss/reconstruction": [0.2, 0.1]}}
    record: Record = {
        "questions": {"Loss": ["gan", "hinge"]},
        "variants": {name: {"runs": [name]} for name in ("gan", "hinge")},
        "runs": dict.fromkeys(("gan", "hinge"), run),
        "failures": {},
    }
    for questions in (record["questions"], {"Other": ["never"]}):
        path = draw(record | {"questions": questions}, tmp_path / "ablation.png")
        assert path == tmp_path / "curves.png"
        assert path.read_bytes().startswith(b"\x89PNG")
        path.unlink()


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("ablation")
    return make(write_json(root / "results" / "ablation.json", ablation_record()), root / "out")


def test_page_has_the_numbers_of_the_record(ablated: tuple[str, str]) -> None:
    _, markdown = ablated
    lines = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in markdown.splitlines() if line[:1] == "|"]
    assert [line[:3] for line in lines if line[0] != "---"] == [
        ["question", "variant", "e"],
        ["Loss", "ae", "0.510 ± 0.014"],
        ["", "ae-l2", "0.650 ± 0.035"],
        ["", "ae-huber (failed)", "–"],
        ["Name", "ae", "0.510 ± 0.014"],
        ["", "ae-&lt;b&gt;", "0.400"],
        ["no model", "gray", "1.000"],
    ]
    assert "Never" not in markdown


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


def test_variants_behind_a_sanity_check_and_runs_of_other_lengths_are_told() -> None:
    record = ablation_record()
    assert not any(isinstance(block, Verdicts) for block in tables(record))
    record["floors"]["sanity check, gradient"] = {"e": 0.45}
    record["runs"]["ae-0"]["images_seen"] = 30_000
    (verdicts,) = (block for block in tables(record) if isinstance(block, Verdicts))
    assert "“sanity check, gradient” (0.450) beats ae (0.510) and ae-l2 (0.650)" in verdicts.texts[0]
    ae = next(line for line in table_of(record).lines if line.name.text == "ae")
    assert "30.0–45.0" in [cell.text for cell in ae.cells]
