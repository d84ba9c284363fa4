"""The report on speed: throughput, the race, least times and largest batches."""

from __future__ import annotations

import itertools
import json
import re
import statistics
from pathlib import Path

import pytest

from benchmarks.core import memory
from benchmarks.core import timing as arithmetic
from benchmarks.speedrun import measure as speedrun_race
from benchmarks.speedrun.options import SpeedrunOptions
from benchmarks.throughput.measure import measure
from benchmarks.throughput.options import ThroughputOptions
from benchmarks.throughput.roofline import GROUPS
from tests.benchmarks.report.records import (
    Outline,
    Record,
    make,
    quality_record,
    table_after,
    throughput_record,
    write_json,
    write_quality,
)


@pytest.fixture(scope="module")
def race(folder: Path) -> Record:
    """Let the suite race three seeds on 54 images to errors that are set: the third does not get there."""
    errors = itertools.chain([0.02, 0.01], [0.03, 0.009], [0.008], itertools.repeat(0.03))
    options = SpeedrunOptions(
        width=8, multipliers=(1, 2), blocks=1, batch_size=16, epochs=2, seeds=3, eval_steps=2, notebook_epochs=2,
        notebook_width=8, data=str(folder), image_size=16, mixed_precision="no", cpu=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speedrun_race, "held_out_mse", lambda *_, **__: next(errors))
        found = speedrun_race.race(options)
    return dict(json.loads(json.dumps(found)))


@pytest.fixture(scope="module")
def rooflines(folder: Path) -> Record:
    """Let the suite time two tiny presets and find their largest batches, of which those up to 100 images fit."""
    options = ThroughputOptions(
        presets=("ae", "notebook-cgan"), batch_sizes=(4,), precisions=("no",), width=8, blocks=1, image_size=16,
        steps=1, warmup=0, notebook_pipeline=False, memory=False, roofline=True, find_batch=True, batch_granularity=32,
        memory_limit=0.5, data=str(folder), cpu=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(arithmetic.PEAK_SIDE, "cpu", 128)
        patch.setitem(arithmetic.COPY_NUMBERS, "cpu", 2**16)
        patch.setattr(memory, "peak_memory", lambda case, _: 2**28 if case.config.batch_size <= 100 else None)
        return dict(json.loads(json.dumps(measure(options))))


def test_throughput_is_beside_the_notebook_pipeline(page: str, markdown: str) -> None:
    table = markdown.partition("## Throughput")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    lines = {(row[0], row[1]): dict(zip(rows[0], row, strict=True)) for row in rows[2:]}
    assert lines["*notebook pipeline*", "train"]["images/s"] == "2,346"
    assert lines["cgan", "train"]["images/s"] == "23,457"
    assert lines["cgan", "train"]["× notebook"] == f"{23_456.7 / 2_345.6:.2f}"
    assert lines["notebook-cgan", "train"]["images/s"] == "–"
    assert lines["notebook-cgan", "train"]["peak memory"] == "–<sup>1</sup>"
    assert "<sup>1</sup> Does not fit in memory." in table
    assert "Measured peak of matrix products and convolutions: 610.0 TFLOP/s in bf16." in page


@pytest.fixture(scope="module")
def raced(race: Record, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("race")
    return make(write_json(root / "results" / "race.json", race), root / "out")


def test_race_shows_both_sides_and_their_ratio(race: Record, raced: tuple[str, str]) -> None:
    page, markdown = raced
    ratio = f"{race['median']['ratio']:.2f}"
    for text in raced:
        assert f"{ratio} times as long" in text
        assert "the median of 3 runs, of which 2 got there" in text
        assert "Both see the same gray" in text
    assert [heading for heading in Outline(page).headings if "original notebooks" in heading] == [
        f"Time to the original notebooks' result on {race['data']['name']}"
    ]
    assert re.findall(r"</i>([^<]*)</li>", page) == ["notebook pipeline", "ours, from ae"]
    shown = table_after(markdown, "## Time to")
    assert [*shown] == ["notebook pipeline", "ours, seed 0", "ours, seed 1", "ours, seed 2", "median of 3"]
    assert shown["median of 3"]["ratio"] == ratio
    assert shown["notebook pipeline"]["MSE"] == "0.01000"
    assert [shown[f"ours, seed {seed}"]["MSE"] for seed in range(3)] == ["0.00900", "0.00800", "0.03000"]
    for run in race["runs"][:2]:
        line = shown[f"ours, seed {run['seed']}"]
        assert line["ratio"] == f"{run['ratio']:.2f}"
        assert float(line["seconds"].replace(",", "")) == pytest.approx(run["seconds"], rel=0.05)


def test_run_that_did_not_get_there_says_why(race: Record, raced: tuple[str, str]) -> None:
    page, markdown = raced
    line = table_after(markdown, "## Time to")["ours, seed 2"]
    assert (line["seconds"], line["ratio"]) == ("–<sup>1</sup>", "–")
    assert race["runs"][2]["reason"] == "The lowest MSE in 2 epochs was 0.03000."
    assert f"<li>{race['runs'][2]['reason']}</li>" in page


def test_median_of_seeds_has_its_range(race: Record, tmp_path: Path) -> None:
    runs = race["runs"][:2]
    median = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "ratio")}
    record = race | {"runs": runs, "median": median}
    _, markdown = make(write_json(tmp_path / "results" / "race.json", record), tmp_path / "out")
    low, high = sorted(f"{run['ratio']:.2f}" for run in runs)
    line = table_after(markdown, "## Time to")["median of 2 (lowest–highest)"]
    assert line["ratio"] == f"{median['ratio']:.2f} ({low}–{high})"


def test_race_without_a_median_claims_no_ratio(race: Record, tmp_path: Path) -> None:
    record = race | {"runs": race["runs"][2:], "median": {"seconds": None, "ratio": None}}
    page, markdown = make(write_json(tmp_path / "results" / "race.json", record), tmp_path / "out")
    assert "in 0 of 1 run: there is no median time and no ratio" in page
    assert "times as long" not in page
    assert table_after(markdown, "## Time to")["median of 1"]["ratio"] == "–"


def test_race_draws_every_evaluation_and_where_the_target_is_reached(race: Record, raced: tuple[str, str]) -> None:
    plots = re.findall(r'aria-label="MSE over [^"]*".*?</svg>', raced[0], re.DOTALL)
    assert len(plots) == 2  # over seconds, over images
    evaluations = len(race["notebook_pipeline"]["curve"]) + sum(len(run["curve"]) for run in race["runs"])
    for drawing in plots:
        marks = re.findall(r"<use [^>]*fill: #[^>]*>", drawing)
        assert len(marks) == evaluations + 3  # the notebook pipeline and two of ours get there
        assert "target 0.01000" in drawing


@pytest.fixture(scope="module")
def bounded(rooflines: Record, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("rooflines")
    return make(write_json(root / "results" / "rooflines.json", rooflines), root / "out")


def test_least_times_add_up_to_their_total(rooflines: Record, bounded: tuple[str, str]) -> None:
    page, markdown = bounded
    Outline(page)
    assert "<h4>Least time of a step</h4>" in page
    shown = table_after(markdown, "#### Least time of a step")
    assert [*shown][: len(GROUPS)] == [*GROUPS]
    for row, case in zip(rooflines["rooflines"], ("ae, 4, fp32", "notebook-cgan, 4, fp32"), strict=True):
        column = {name: line[case] for name, line in shown.items()}
        total = float(column["least time together"])
        rounding = 0.5 * 10 ** -len(column["least time together"].partition(".")[2])
        assert sum(float(column[group]) for group in GROUPS) == pytest.approx(total, abs=5 * rounding)
        assert total == pytest.approx(1000 * row["seconds"], abs=1.01 * rounding)
        step = float(column["measured step"].replace(",", ""))
        assert step == pytest.approx(1000 * 4 / row["measured_images_per_second"], rel=0.001)
        assert column["least time ÷ measured step"] == f"{100 * row['share_of_bound']:.1f} %"
        assert total / step == pytest.approx(row["share_of_bound"], rel=0.01)


def test_step_that_was_not_measured_has_no_share(rooflines: Record, tmp_path: Path) -> None:
    unknown = dict.fromkeys(("measured_images_per_second", "share_of_bound", "input_seconds", "input_share"))
    record = rooflines | {"rooflines": [rooflines["rooflines"][0] | unknown]}
    _, markdown = make(write_json(tmp_path / "results" / "rooflines.json", record), tmp_path / "out")
    shown = table_after(markdown, "#### Least time of a step")
    assert [line["ae, 4, fp32"] for line in shown.values()][-3:] == ["–", "–", "–"]


def test_largest_batches_are_shown(bounded: tuple[str, str]) -> None:
    shown = table_after(bounded[1], "#### Largest batches")
    assert [*shown] == ["ae", "notebook-cgan"]
    expected = {"largest batch": "96", "peak memory": "0.25 GiB", "memory limit": "0.50 GiB", "steps of": "32"}
    assert shown["ae"].items() >= expected.items()
    assert "<h4>Largest batches</h4>" in bounded[0]


def test_no_roofline_and_no_largest_batch_without_them(page: str, markdown: str) -> None:
    assert "Least time" not in page + markdown
    assert "Largest batches" not in page + markdown


def test_files_of_a_device_share_a_point_a_model(tmp_path: Path) -> None:
    """Each preset may have been timed by itself, as benchmarks/gpu.sh does."""
    write_quality(tmp_path / "results", quality_record())
    for preset in ("ae", "cgan"):
        record = throughput_record()
        record["rows"] = [row for row in record["rows"] if row["preset"] == preset]
        (tmp_path / "results" / f"{preset}.json").write_text(json.dumps(record), encoding="utf-8")
    page, _ = make(tmp_path / "results", tmp_path / "out")
    (drawing,) = re.findall(r'aria-label="FD v1 on cifar10-jpeg, speed on.*?</svg>', page, re.DOTALL)
    assert re.findall(r">(ae|cgan|notebook-ae)</text>", drawing) == ["ae", "cgan"]
