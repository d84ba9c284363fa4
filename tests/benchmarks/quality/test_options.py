"""The options of `quality`: which runs are one row, and mistakes that are found before anything is measured."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.quality.exchange import write_images
from benchmarks.quality.options import QualityOptions, check, find_groups
from colornet.config import TrainConfig
from colornet.errors import InputError
from tests.benchmarks.quality.comparison import Comparison, refused
from tests.images import random_pixels

ROOT = Path(__file__).parents[3]


def run_folder(path: Path, step: int | None = 1000, **changes: Any) -> Path:
    """Make the folder of a run whose weights, none if there is no step, are those of a step."""
    path.mkdir(parents=True)
    if step is not None:
        save_file({"w": np.zeros(1)}, path / "model.safetensors", {"step": str(step)})
    config = dataclasses.replace(TrainConfig(), run_dir=str(path), **changes)
    (path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    return path


def test_groups_differ_in_more_than_the_seed(tmp_path: Path) -> None:
    runs = [
        run_folder(tmp_path / "ae-0", seed=0, data="/here/photos"),
        run_folder(tmp_path / "ae-wide", seed=0, width=16, data="/here/photos"),
        run_folder(tmp_path / "ae-1", seed=1, data="/there/photos", log_every=7),
        run_folder(tmp_path / "ae-short", 10, seed=2, data="/here/photos", max_steps=10),
        run_folder(tmp_path / "ae-other", seed=3, data="/here/paintings"),
        run_folder(tmp_path / "ae-unfinished", 500, seed=4, data="/here/photos"),
        run_folder(tmp_path / "ae-continued", seed=5, data="/here/photos"),
    ]
    (runs[-1] / "provenance.json").write_text('[{"init_from": {"images": 64}}]')
    groups = find_groups(runs)
    assert [group.name for group in groups] == [
        "ae",
        "ae-wide",
        "ae-short",
        "ae-other",
        "ae-unfinished",
        "ae-continued",
    ]
    assert groups[0].members == (runs[0], runs[2])
    assert groups[1].config.width == 16


def test_groups_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [run_folder(tmp_path / "a" / "ae"), run_folder(tmp_path / "b" / "ae", width=16)]
    assert [group.name for group in find_groups(runs)] == [str(run) for run in runs]


def test_a_run_named_twice_is_no_second_seed(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "ae")
    with pytest.raises(InputError, match="named twice"):
        find_groups([run, tmp_path / "x" / ".." / "ae"])


def test_the_name_of_a_released_model_stands_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = run_folder(tmp_path / "weights" / "ae", data="sample")
    monkeypatch.setattr("colornet.runs.pretrained.WEIGHTS", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    check(QualityOptions(runs=(Path("ae"),), data="sample"))
    (group,) = find_groups([Path("ae")])
    assert (group.name, group.members) == ("ae", (released,))
    own = run_folder(tmp_path / "ae", data="sample")  # a folder of that name comes first
    assert find_groups([Path("ae")])[0].members[0].resolve() == own


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Nothing is named to compare"),
        (["notebook-cgan"], "'notebook-cgan' is a preset without released weights: train it"),
        (["nowhere"], "nowhere is not a run folder"),
        (["--images", "nowhere"], "No data set is named: give --data."),
        (["--data", "sample", "--images", "nowhere"], "--images nowhere is not a folder"),
        (["RUN", "--batch-size", "0"], "--batch-size is 0"),
        (["RUN", "--features-batch", "-1"], "--features-batch is -1"),
        (["RUN", "--inception-weights", "nowhere.pth"], "There is no file nowhere.pth"),
        (["RUN", "--dinov2-weights", "nowhere.pth"], "There is no file nowhere.pth"),
        (["RUN", "--ceiling", "nowhere.json"], "There is no file nowhere.json"),
        (["RUN", "--data", "cifar-10"], "did you mean 'cifar10'"),
    ],
)
def test_mistakes_end_in_a_sentence(
    arguments: list[str], words: str, comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    refused(*(str(comparison.runs[0]) if argument == "RUN" else argument for argument in arguments))
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_runs_of_different_sizes_or_data_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run_folder(tmp_path / str(size), image_size=size, data="sample") for size in (32, 48)]
    refused(*runs)
    assert "differ in image_size (32, 48)" in capsys.readouterr().err
    refused(runs[0], run_folder(tmp_path / "other", data="cifar10"))
    assert "differ in data (cifar10, sample): give --data" in capsys.readouterr().err


def test_a_run_without_a_model_is_refused_before_anything_is_measured(
    comparison: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = run_folder(tmp_path / "ae-9", None, image_size=16, data=str(comparison.record["data"]["name"]))
    refused(comparison.runs[0], unfinished, "--data", "sample")
    error = capsys.readouterr().err
    assert "ae-9 has no model.safetensors yet: train until its first checkpoint." in error
    assert "Rows" not in error


@pytest.mark.parametrize("option", ["--out", "--write-inputs"])
def test_existing_results_are_left_alone(
    option: str, comparison: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "quality.json").write_text("mine")
    refused(comparison.runs[0], option, tmp_path, "--cpu")
    assert f"{tmp_path} exists already: choose another folder or remove it." in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("quality.json", "mine")]


def test_too_few_images_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "set", random_pixels(12), None, ())
    refused("--data", tmp_path / "set", "--images", tmp_path / "set", "--cpu", "--cache-dir", tmp_path)
    assert "set has 1 test images: at least 4 are needed" in capsys.readouterr().err


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\n"
        "from benchmarks import __main__\n"
        "try:\n"
        "    __main__.main(sys.argv[1:])\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules\n"
    )
    for arguments in (["--help"], ["quality", "--help"], ["evaluator", "--help"], ["quality", "nowhere"]):
        command = [sys.executable, "-c", code, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert "AssertionError" not in result.stderr
        assert result.returncode == (0 if "--help" in arguments else 2)
        assert ("--write-inputs" in result.stdout) == (arguments == ["quality", "--help"])
        assert ("throughput" in result.stdout) == (arguments == ["--help"])
