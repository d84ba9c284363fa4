"""What is shown of a speedrun: both sides, their ratio, and every evaluation."""

from __future__ import annotations

import itertools
import json
import math
import re
import statistics
from pathlib import Path

import pytest

from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Legend, Section, blocks_text
from benchmarks.speedrun import measure as speedrun
from benchmarks.speedrun.options import SpeedrunOptions
from benchmarks.speedrun.report import section, summarize, tables
from tests.benchmarks.commands import cells, colors, drawings, table


@pytest.fixture(scope="module")
def made(folder: Path) -> Record:
    """Train three seeds on 54 images with given errors: the third does not reach the target."""
    errors = itertools.chain([0.02, 0.01], [0.03, 0.009], [0.008], itertools.repeat(0.03))
    options = SpeedrunOptions(
        width=8, multipliers=(1, 2), blocks=1, batch_size=16, epochs=2, seeds=3, eval_steps=2, notebook_epochs=2,
        notebook_width=8, data=str(folder), image_size=16, mixed_precision="no", cpu=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speedrun, "held_out_mse", lambda *_, **__: next(errors))
        found = speedrun.measure(options)
    return dict(json.loads(json.dumps(found)))


def shown(record: Record) -> Section:
    return section(Result(Path("speedrun.json"), record, {}), colors())


def rows(record: Record) -> dict[str, dict[str, str]]:
    return cells(table(tables(record), "Every run"))


def test_speedrun_shows_both_sides_and_their_ratio(made: Record) -> None:
    ratio = f"{made['median']['ratio']:.2f}"
    markdown = shown(made).to_markdown()
    assert f"{ratio} times as long" in markdown
    assert "the median of 3 runs, of which 2 reached it" in markdown
    assert "Both see the same gray" in markdown
    assert shown(made).title == f"Time to the original notebooks' result on {made['data']['name']}"
    (legend,) = (block for block in shown(made).blocks if isinstance(block, Legend))
    assert [*legend.colors] == ["notebook pipeline", "ours, from ae"]
    found = rows(made)
    assert [*found] == [
        "floor: input",
        "floor: input and constant",
        "notebook pipeline",
        "ours, seed 0",
        "ours, seed 1",
        "ours, seed 2",
        "median of 3",
    ]
    assert found["median of 3"]["ratio"] == ratio
    assert found["notebook pipeline"]["MSE"] == "0.01000"
    assert [found[f"ours, seed {seed}"]["MSE"] for seed in range(3)] == ["0.00900", "0.00800", "0.03000"]
    for run in made["runs"][:2]:
        line = found[f"ours, seed {run['seed']}"]
        assert line["ratio"] == f"{run['ratio']:.2f}"
        assert float(line["seconds"].replace(",", "")) == pytest.approx(run["seconds"], rel=0.05)


def test_what_a_real_speedrun_says_is_in_its_record(record: Record) -> None:
    assert f"{record['median']['ratio']:.2f} times as long" in summarize(record)
    assert rows(record)["notebook pipeline"]["MSE"] == f"{record['target']['mse']:.5f}"


def test_run_that_did_not_get_there_says_why(made: Record) -> None:
    found = table(tables(made), "Every run")
    seconds, ratio, *_ = found.lines[5].cells
    assert (seconds.text, seconds.note, ratio.text) == ("–", 1, "–")
    assert found.notes == [made["runs"][2]["reason"]] == ["The lowest MSE in 2 epochs was 0.03000."]


def test_median_of_seeds_has_its_range(made: Record) -> None:
    runs = made["runs"][:2]
    median = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "ratio")}
    low, high = sorted(f"{run['ratio']:.2f}" for run in runs)
    line = rows(made | {"runs": runs, "median": median})["median of 2 (lowest–highest)"]
    assert line["ratio"] == f"{median['ratio']:.2f} ({low}–{high})"


def test_speedrun_without_a_median_claims_no_ratio(made: Record) -> None:
    record = made | {"runs": made["runs"][2:], "median": {"seconds": None, "ratio": None}}
    markdown = shown(record).to_markdown()
    assert "in 0 of 1 run: there is no median time and no ratio" in markdown
    assert "times as long" not in markdown
    assert rows(record)["median of 1"]["ratio"] == "–"


def test_speedrun_draws_every_evaluation_and_where_the_target_is_reached(made: Record) -> None:
    found = drawings(shown(made).blocks)
    assert [*found] == ["MSE over seconds of training", "MSE over thousand images seen"]
    evaluations = len(made["notebook_pipeline"]["curve"]) + sum(len(run["curve"]) for run in made["runs"])
    for drawing in found.values():
        marks = re.findall(r"<use [^>]*fill: #[^>]*>", drawing)
        assert len(marks) == evaluations + 3  # the notebook pipeline and two of ours get there
        assert "target 0.01000" in drawing
        for name, floor in made["floors"].items():
            assert f"floor: {name} {floor['mse']:.5f}" in drawing


def test_target_is_shown_beside_its_floors(made: Record) -> None:
    found = rows(made)
    for name, floor in made["floors"].items():
        assert found[f"floor: {name}"]["MSE"] == f"{floor['mse']:.5f}"
        assert found[f"floor: {name}"]["seconds"] == "–"
    below = 10 * math.log10(made["floors"]["input and constant"]["mse"] / 0.01)
    assert f"The target is {below:.2f} dB better than the best of them." in blocks_text(tables(made))


def test_older_speedrun_says_that_its_floors_are_unknown(made: Record) -> None:
    record = {key: value for key, value in made.items() if key != "floors"}
    assert "Floors were not measured" in blocks_text(tables(record))
    assert "floor" not in "".join(rows(record))
