"""The race to the original notebooks' error: what each side sees, what is timed, what the record says."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.baselines.notebook_pipeline import NotebookPipeline
from benchmarks.core.stopwatch import Stopwatch
from benchmarks.speedrun import measure as speedrun_race
from benchmarks.speedrun import options as speedrun
from benchmarks.speedrun.measure import held_out_mse, race, run_seed
from benchmarks.speedrun.options import SpeedrunOptions, format_result, our_config
from colornet.errors import InputError
from colornet.evaluation.loop import colorize_with
from colornet.metrics.image import image_metrics
from colornet.presets import PRESETS
from colornet.training.trainer import Trainer

CPU = torch.device("cpu")
TINY = ["--image-size", "16", "--width", "8", "--multipliers", "1", "2", "--blocks", "1", "--batch-size", "16",
        "--warmup-steps", "0", "--mixed-precision", "no", "--notebook-width", "8", "--cpu"]  # fmt: skip


def images(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def record(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Race on 50 of 54 images: one epoch of the notebooks' network leaves a mark that ours passes within 60."""
    out = tmp_path_factory.mktemp("speedrun") / "new" / "record.json"
    options = ["--notebook-epochs", "1", "--seeds", "2", "--epochs", "60", "--eval-steps", "5", "--lr", "3e-3"]
    speedrun.main([*options, "--training-images", "50", "--data", str(folder), "--out", str(out), *TINY])
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_ours_is_the_preset_with_the_options_given() -> None:
    options = SpeedrunOptions(width=16, lr=0.5, epochs=2, batch_size=32, cache_dir=Path("elsewhere"))
    expected = dataclasses.replace(
        PRESETS["ae"][1], color_space="rgb", reconstruction_loss="mse", width=16, lr=0.5, epochs=2, batch_size=32
    )
    assert our_config(options) == expected
    assert our_config(SpeedrunOptions(preset="notebook-ae")) == PRESETS["notebook-ae"][1].__class__(
        **(dataclasses.asdict(PRESETS["notebook-ae"][1]) | {"mixed_precision": "auto"})
    )


def test_error_is_that_of_the_metrics() -> None:
    truth = images(7)

    def colorize(batch: Tensor) -> Tensor:
        return (batch // 2).flip(1)

    expected = image_metrics(colorize(truth), truth)["mse"].mean().item()
    assert held_out_mse(colorize, truth, CPU, batch_size=3) == pytest.approx(expected, rel=1e-12)


def test_stopwatch_counts_what_runs_while_it_runs() -> None:
    watch = Stopwatch(CPU)
    for _ in range(2):
        with watch.running():
            time.sleep(0.01)
        time.sleep(0.05)
    assert 0.02 <= watch.seconds < 0.05 + 0.05
    assert watch.cpu_seconds is not None
    assert 0 <= watch.cpu_seconds < 0.02  # what sleeps does not work
    with watch.running():
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
    assert watch.cpu_seconds >= 0.02


def test_learning_rate_of_the_seed_falls_after_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def step(pipeline: NotebookPipeline) -> float:
        rates.append(pipeline.optimizer.param_groups[0]["lr"])
        return 0.0

    monkeypatch.setattr(NotebookPipeline, "step", step)
    options = SpeedrunOptions(notebook_epochs=2, notebook_width=8, image_size=16, cpu=True)
    result = run_seed(options, images(70), images(3), CPU)
    assert rates[1:] == pytest.approx([1e-3, 1e-3, 9e-4, 9e-4])  # two batches an epoch; the first step is not kept
    assert [point["images"] for point in result["curve"]] == [70, 140]


def test_time_of_the_seed_ends_where_it_first_meets_its_own_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([0.5, 0.2, 0.4, 0.3])
    monkeypatch.setattr(NotebookPipeline, "step", lambda _: time.sleep(0.002))
    monkeypatch.setattr(speedrun_race, "held_out_mse", lambda *_, **__: next(errors))
    options = SpeedrunOptions(notebook_epochs=4, notebook_width=8, image_size=16, cpu=True)
    result = run_seed(options, images(8), images(2), CPU)
    assert result["seconds_to_target"] == result["curve"][1]["seconds"] < result["seconds"]


def test_evaluation_leaves_the_seed_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(speedrun_race, "colorize_with", noting)
    run_seed(SpeedrunOptions(notebook_epochs=2, notebook_width=8, image_size=16, cpu=True), images(8), images(2), CPU)
    assert modes[1:] == [("train", True), ("evaluate", False)] * 2


# The record


def test_record_says_where_it_comes_from_and_what_was_raced(record: dict[str, Any]) -> None:
    assert record["kind"] == "speedrun"
    assert record.keys() >= {"command", "commit", "date", "device", "machine", "versions", "data", "method", "options"}
    assert record["data"]["training_images"] == 50
    assert record["target"].items() >= {"split": "validation", "images": 6}.items()
    assert record["gray"]["same"] is True
    assert record["gray"]["ours"] == record["gray"]["notebook_pipeline"] == "channel mean, not rounded"
    assert record["ours"]["changed"].items() >= {"color_space": "rgb", "reconstruction_loss": "mse", "width": 8}.items()
    assert (record["notebook_pipeline"]["batch_size"], record["notebook_pipeline"]["precision"]) == (64, "no")


def test_target_is_where_the_seed_ended(record: dict[str, Any]) -> None:
    seed = record["notebook_pipeline"]
    assert record["target"]["mse"] == seed["curve"][-1]["mse"]
    assert (seed["images"], seed["epochs"], len(seed["curve"])) == (50, 1, 1)
    assert seed["seconds"] == seed["seconds_to_target"] == seed["curve"][-1]["seconds"]


def test_runs_stop_at_the_first_evaluation_at_the_target(record: dict[str, Any]) -> None:
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


def test_median_is_over_the_seeds(record: dict[str, Any]) -> None:
    seconds = [run["seconds"] for run in record["runs"]]
    assert record["median"]["seconds"] == pytest.approx(sum(seconds) / 2)
    expected = record["notebook_pipeline"]["seconds_to_target"] / record["median"]["seconds"]
    assert record["median"]["ratio"] == pytest.approx(expected)
    assert record["median"]["cpu_ratio"] == pytest.approx(sum(run["cpu_ratio"] for run in record["runs"]) / 2)


def test_text_says_the_same(record: dict[str, Any]) -> None:
    text = format_result(record)
    assert f"{record['target']['mse']:.5f}" in text
    assert f"{record['median']['ratio']:.2f} times as long" in text
    assert "same gray" in text


def test_what_is_not_reached_has_no_ratio(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def perfect(*arguments: Any) -> dict[str, Any]:
        result = run_seed(*arguments)
        return {**result, "curve": [{**result["curve"][0], "mse": 0.0}]}

    monkeypatch.setattr(speedrun_race, "run_seed", perfect)
    options = SpeedrunOptions(
        width=8, multipliers=(1, 2), blocks=1, batch_size=27, epochs=1, color_space="lab", seeds=1, notebook_epochs=1,
        notebook_width=8, data=str(folder), image_size=16, mixed_precision="no", split="test", cpu=True,
    )  # fmt: skip
    record = race(options)
    (run,) = record["runs"]
    assert (run["reached"], run["ratio"], run["steps"]) == (False, None, 2)
    assert record["median"] == {"seconds": None, "ratio": None, "cpu_ratio": None}
    assert record["target"].items() >= {"split": "test", "images": 21}.items()
    assert record["gray"]["same"] is False
    text = format_result(record)
    assert "not reached: The lowest MSE in 1 epochs was" in text
    assert "Not the same gray" in text
    json.dumps(record, allow_nan=False)


def test_rehearsal_changes_nothing_but_the_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curves = []
    rehearse = Trainer.rehearse
    for rehearsed in (True, False):
        monkeypatch.setattr(Trainer, "rehearse", rehearse if rehearsed else lambda _: None)
        options = SpeedrunOptions(
            width=8, multipliers=(1, 2), blocks=1, batch_size=16, epochs=2, seeds=1, eval_steps=2, notebook_epochs=1,
            notebook_width=8, data=str(folder), image_size=16, mixed_precision="no", cpu=True,
        )  # fmt: skip
        curves.append([point["mse"] for point in race(options)["runs"][0]["curve"]])
    assert curves[0] == curves[1]


# What is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds", "0"], "--seeds is 0: it must be at least 1"),
        (["--eval-steps", "0"], "--eval-steps is 0"),
        (["--notebook-epochs", "-1"], "--notebook-epochs is -1"),
        (["--image-size", "24"], "--image-size is 24: the notebooks' network needs a multiple of 16"),
        (["--lr", "nan"], "--lr is nan"),
        (["--data", "sampel"], "did you mean 'sample'?"),
        (["--mixed-precision", "fp16", "--cpu"], "--mixed-precision fp16 needs a GPU"),
        (["--data", "sample", "--training-images", "0"], "--training-images is 0: it must be at least 1"),
        (["--data", "sample", "--out", "race.png"], "--out race.png is the name of the plot"),
    ],
)
def test_bad_options(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        speedrun.main(options)
    assert words in capsys.readouterr().err


def test_batch_larger_than_the_data_is_refused_before_the_seed_trains(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speedrun_race, "run_seed", lambda *_: pytest.fail("trained"))
    with pytest.raises(SystemExit, match="2"):
        speedrun.main(["--data", str(folder), *TINY, "--batch-size", "55"])
    assert "--batch-size is 55: it must be at most 54" in capsys.readouterr().err


def test_more_images_than_there_are_cannot_train(folder: Path) -> None:
    with pytest.raises(InputError, match=r"--training-images is 55: --data .* has 54"):
        race(SpeedrunOptions(data=str(folder), image_size=16, training_images=55, batch_size=8, cpu=True))


def test_existing_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        speedrun.main(["--data", "sample", "--out", str(tmp_path / "a.json")])
    assert "exists already: choose another name" in capsys.readouterr().err
    assert (tmp_path / "a.json").read_text() == "mine"


def test_options_are_answered_without_torch() -> None:
    code = (
        "import sys, benchmarks.__main__ as command\n"
        "try:\n"
        "    command.main(['speedrun', '--help'])\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules\n"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert "--notebook-epochs" in result.stdout
