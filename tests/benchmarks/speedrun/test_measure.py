"""The speedrun to the original notebooks' error: what each side sees, what is timed, what the record says."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from benchmarks.baselines.notebook_pipeline import NotebookPipeline
from benchmarks.core.record import Record
from benchmarks.core.sections import blocks_text
from benchmarks.speedrun import error
from benchmarks.speedrun import measure as speedrun
from benchmarks.speedrun.measure import measure, run_notebook
from benchmarks.speedrun.options import SpeedrunOptions
from benchmarks.speedrun.report import tables
from colornet.errors import InputError
from colornet.evaluation.loop import colorize_with
from colornet.training.trainer import Trainer
from tests.benchmarks.cases import CPU, images
from tests.benchmarks.commands import refused
from tests.benchmarks.speedrun.conftest import TINY


def test_learning_rate_of_the_notebook_pipeline_falls_after_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def step(pipeline: NotebookPipeline) -> float:
        rates.append(pipeline.optimizer.param_groups[0]["lr"])
        return 0.0

    monkeypatch.setattr(NotebookPipeline, "step", step)
    options = SpeedrunOptions(notebook_epochs=2, notebook_width=8, image_size=16, cpu=True)
    result = run_notebook(options, images(70), images(3), CPU, {})
    assert rates[1:] == pytest.approx([1e-3, 1e-3, 9e-4, 9e-4])  # two batches an epoch; the first step is not kept
    assert [point["images"] for point in result["curve"]] == [70, 140]


def test_time_of_the_notebook_pipeline_ends_where_it_first_meets_its_own_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([0.5, 0.2, 0.4, 0.3])
    monkeypatch.setattr(NotebookPipeline, "step", lambda _: time.sleep(0.002))
    monkeypatch.setattr(speedrun, "held_out_mse", lambda *_, **__: next(errors))
    options = SpeedrunOptions(notebook_epochs=4, notebook_width=8, image_size=16, cpu=True)
    result = run_notebook(options, images(8), images(2), CPU, {})
    assert result["seconds_to_target"] == result["curve"][1]["seconds"] < result["seconds"]


def test_evaluation_leaves_the_notebook_pipeline_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[tuple[str, bool]] = []
    step = NotebookPipeline.step

    def noting_step(pipeline: NotebookPipeline) -> float:
        modes.append(("train", pipeline.network.training))
        return step(pipeline)

    def noting(network: Any, *rest: Any) -> Any:
        colorize = colorize_with(network, *rest)

        def noted(batch: Tensor) -> Tensor:
            modes.append(("evaluate", network.training))
            return colorize(batch)

        return noted

    monkeypatch.setattr(NotebookPipeline, "step", noting_step)
    monkeypatch.setattr(speedrun, "colorize_with", noting)
    run_notebook(
        SpeedrunOptions(notebook_epochs=2, notebook_width=8, image_size=16, cpu=True), images(8), images(2), CPU, {}
    )
    assert modes[1:] == [("train", True), ("evaluate", False)] * 2


# The record


def test_record_says_where_it_comes_from_and_what_was_trained(record: Record) -> None:
    assert record["kind"] == "speedrun"
    assert record.keys() >= {"command", "commit", "date", "device", "machine", "versions", "data", "method", "options"}
    assert record["data"]["training_images"] == 50
    assert record["target"].items() >= {"split": "validation", "images": 6}.items()
    assert record["gray"]["same"] is True
    assert record["gray"]["ours"] == record["gray"]["notebook_pipeline"] == "channel mean, not rounded"
    assert record["ours"]["changed"].items() >= {"color_space": "rgb", "reconstruction_loss": "mse", "width": 8}.items()
    assert (record["notebook_pipeline"]["batch_size"], record["notebook_pipeline"]["precision"]) == (64, "no")


def test_target_is_where_the_notebook_pipeline_ended(record: Record) -> None:
    notebook = record["notebook_pipeline"]
    assert record["target"]["mse"] == notebook["curve"][-1]["mse"]
    assert (notebook["images"], notebook["epochs"], len(notebook["curve"])) == (50, 1, 1)
    assert notebook["seconds"] == notebook["seconds_to_target"] == notebook["curve"][-1]["seconds"]


def test_runs_stop_at_the_first_evaluation_at_the_target(record: Record) -> None:
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    assert record["runs"][0]["curve"][0]["mse"] != record["runs"][1]["curve"][0]["mse"]
    for run in record["runs"]:
        *before, last = run["curve"]
        assert run["reached"]
        assert last["mse"] <= record["target"]["mse"] < min([point["mse"] for point in before], default=1)
        assert [point["step"] for point in run["curve"]] == list(range(5, run["steps"] + 1, 5))
        assert run["images"] == last["images"] == 16 * run["steps"]
        assert run["seconds"] == last["seconds"] > 0
        assert (run["evaluation_seconds"] > 0, run["compile_seconds"]) == (True, None)
        assert run["ratio"] == pytest.approx(record["notebook_pipeline"]["seconds_to_target"] / run["seconds"])
        cpu_ratio = record["notebook_pipeline"]["cpu_seconds_to_target"] / run["cpu_seconds"]
        assert run["cpu_ratio"] == pytest.approx(cpu_ratio)
        assert run["cpu_seconds"] == last["cpu_seconds"]


def test_median_is_over_the_seeds(record: Record) -> None:
    seconds = [run["seconds"] for run in record["runs"]]
    assert record["median"]["seconds"] == pytest.approx(sum(seconds) / 2)
    expected = record["notebook_pipeline"]["seconds_to_target"] / record["median"]["seconds"]
    assert record["median"]["ratio"] == pytest.approx(expected)
    assert record["median"]["cpu_ratio"] == pytest.approx(sum(run["cpu_ratio"] for run in record["runs"]) / 2)


def test_what_is_not_reached_has_no_ratio(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def perfect(*arguments: Any) -> Record:
        result = run_notebook(*arguments)
        return {**result, "curve": [{**result["curve"][0], "mse": 0.0}]}

    monkeypatch.setattr(speedrun, "run_notebook", perfect)
    options = SpeedrunOptions(
        width=8, multipliers=(1, 2), blocks=1, batch_size=27, epochs=1, color_space="lab", seeds=1, notebook_epochs=1,
        notebook_width=8, data=str(folder), image_size=16, mixed_precision="no", split="test", cpu=True,
    )  # fmt: skip
    record = measure(options)
    (run,) = record["runs"]
    assert (run["reached"], run["ratio"], run["steps"]) == (False, None, 2)
    assert record["median"] == {"seconds": None, "ratio": None, "cpu_ratio": None}
    assert record["target"].items() >= {"split": "test", "images": 21}.items()
    assert record["gray"]["same"] is False
    assert run["reason"].startswith("The lowest MSE in 1 epochs was")
    text = blocks_text(tables(record))
    assert f"[1] {run['reason']}" in text
    assert "Not the same gray" in text
    json.dumps(record, allow_nan=False)


def test_step_before_the_clock_changes_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curves = []
    monkeypatch.setattr(error, "MARGIN_DB", -30.0)
    warm_up_ddp = Trainer.warm_up_ddp
    for warm_up_ddpd in (True, False):
        monkeypatch.setattr(Trainer, "warm_up_ddp", warm_up_ddp if warm_up_ddpd else lambda _: None)
        options = SpeedrunOptions(
            width=8, multipliers=(1, 2), blocks=1, batch_size=16, epochs=2, seeds=1, eval_steps=2, notebook_epochs=1,
            notebook_width=8, data=str(folder), image_size=16, mixed_precision="no", cpu=True,
        )  # fmt: skip
        curves.append([point["mse"] for point in measure(options)["runs"][0]["curve"]])
    assert curves[0] == curves[1]


def test_batch_larger_than_the_data_is_refused_before_the_notebook_pipeline_trains(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speedrun, "run_notebook", lambda *_: pytest.fail("trained"))
    said = refused(capsys, "speedrun", "--data", str(folder), *TINY, "--batch-size", "55")
    assert "--batch-size is 55: it must be at most 54" in said


def test_target_that_is_no_better_than_its_own_input_is_refused_before_ours_trains(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speedrun, "run_ours", lambda *_: pytest.fail("trained"))
    said = refused(capsys, "speedrun", "--data", str(folder), *TINY, "--notebook-epochs", "1")
    floors = r"0\.01546 \(input\) and 0\.01504 \(input and constant\)"
    assert re.search(rf"notebook, epoch 1: MSE 0\.\d{{5}}; floors: {floors.replace(' and', ',', 1)}", said)
    assert re.search(rf"ends at an MSE of 0\.\d{{5}}, but its input alone has {floors}: .* at most 0\.0134", said)
    assert "Raise --notebook-epochs or --training-images" in said


def test_more_images_than_there_are_cannot_train(folder: Path) -> None:
    with pytest.raises(InputError, match=r"--training-images is 55: --data .* has 54"):
        measure(SpeedrunOptions(data=str(folder), image_size=16, training_images=55, batch_size=8, cpu=True))
