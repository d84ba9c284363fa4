"""Scoring and the comparison of runs."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from colornet import evaluate
from colornet.errors import InputError
from colornet.evaluation.loop import gray_floor, map_images, sample_grid
from colornet.metrics.image import image_metrics, summarize
from colornet.runs.run import Run
from colornet.training.build import compose_trainer
from tests.conftest import small
from tests.images import random_pixels


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    for preset in ("ae", "notebook-ae"):
        compose_trainer(small(preset, folder, root / preset, epochs=1)).fit()
    return {preset: root / preset for preset in ("ae", "notebook-ae")}


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_score_does_not_depend_on_the_batch_size(batch_size: int) -> None:
    truth = random_pixels(7, 16, 16)
    expected = image_metrics(gray_floor(truth), truth)
    scored = map_images(lambda x: image_metrics(gray_floor(x), x), truth, Accelerator(cpu=True), batch_size=batch_size)
    for name, values in expected.items():
        torch.testing.assert_close(scored[name], values, rtol=1e-12, atol=0)


def test_gray_floor_is_gray_and_truth_scores_perfectly() -> None:
    truth = random_pixels(5, 16, 16)
    floor = summarize(image_metrics(gray_floor(truth), truth))
    assert floor["cf"] < 1 < floor["cf_truth"]
    assert floor["delta_cf"] == pytest.approx(floor["cf"] - floor["cf_truth"])
    perfect = summarize(image_metrics(truth, truth))
    assert (perfect["l1"], perfect["ciede2000"], perfect["delta_cf_image"]) == (0, 0, 0)
    assert perfect["ssim"] == pytest.approx(1)


def test_grid_lays_versions_side_by_side() -> None:
    first = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 3, 2, 2)
    grid = sample_grid([first, first + 10], columns=2, scale=2)
    assert grid.shape == (3, 8, 16)
    assert grid[0, ::4, ::4].tolist() == [[0, 10, 1, 11], [2, 12, 3, 13]]
    assert torch.equal(grid[:, :4, 4:8], torch.full((3, 4, 4), 10, dtype=torch.uint8))


def test_comparison_of_runs(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "comparison"
    evaluate.main([str(runs["ae"]), str(runs["notebook-ae"]), "--out", str(out), "--cpu", "--all-grays"])
    text = (out / "comparison.txt").read_text().strip()
    assert text in capsys.readouterr().out
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in table][2:] == [
        "gray", "gray, channel mean", "gray, Rec. 601", "ae", "notebook-ae", "truth",
    ]  # fmt: skip

    for heading in ("e ↓", "CF |", "W1(CF) ↓", "sepia of colored %", "PSNR ↑"):
        assert heading in table[0]
    gray, *_, truth = ([cell.strip() for cell in line.split(" | ")] for line in table[2:])
    assert (gray[1], truth[1]) == ("1.000", "–")

    record = json.loads((out / "comparison.json").read_text())
    (run,) = Run(runs["ae"]).validations[-1:]
    validated = {name.removeprefix("validation/") for name in run if name.startswith("validation/")}
    assert record["rows"]["ae"].keys() >= validated - {"reconstruction"}  # which is in the unit of the training
    row, floor = record["rows"]["ae"], record["rows"]["gray"]
    assert row["e_cifar10_v2_dev"] == row["fd_cifar10_v2_dev"] / floor["fd_cifar10_v2_dev"]
    assert 0 < row["sepia_of_colored_truth"] < 1
    assert (record["data"]["images"], record["data"]["split"]) == (21, "test")
    assert record["rows"]["ae"].keys() >= record["rows"]["gray"].keys() >= {"psnr", "ciede2000", "cf", "delta_cf_image"}
    assert record["runs"]["ae"]["config"]["width"] == 8
    assert record["runs"]["ae"]["training"][0]["versions"]["torch"] == record["versions"]["torch"]
    assert torch.__version__.startswith(record["versions"]["torch"])
    assert {"command", "commit", "date", "device"} <= record.keys()

    with Image.open(out / "comparison.png") as picture:
        assert picture.height == 6 * 16 * 3
        assert picture.width > 16 * 16 * 3


def test_model_that_was_shared_without_its_origin(runs: dict[str, Path], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((runs["ae"] / name).read_bytes())
    evaluate.main([str(tmp_path), "--out", str(tmp_path / "out"), "--cpu"])
    (run,) = json.loads((tmp_path / "out" / "comparison.json").read_text())["runs"].values()
    assert run["training"] is None


def test_released_models_are_compared_by_name(
    runs: dict[str, Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a run folder has the name, it is meant, as before; a released model says in its row that it is one."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(runs["ae"], tmp_path / "ae")
    evaluate.main(["ae", "--out", "own", "--cpu"])
    (run,) = json.loads(Path("own/comparison.json").read_text("utf-8"))["runs"].values()
    assert run["config"]["width"] == 8

    photographs = tmp_path / "photographs"
    for part in ("train", "test"):
        for index in range(4):
            path = photographs / part / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random_pixels(1, 32, 32, seed=index)[0].permute(1, 2, 0).numpy()).save(path)
    evaluate.main(["cgan", "--out", "released", "--cpu", "--data", str(photographs)])
    record = json.loads(Path("released/comparison.json").read_text("utf-8"))
    assert [*record["rows"]] == ["gray", "cgan-released"]
    assert record["runs"]["cgan-released"]["config"]["width"] == 32


class Closed(io.StringIO):
    """A pipe whose reader has gone, as that of `| true`."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_results_are_written_before_they_are_printed(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(runs["ae"], tmp_path / "red\x1b[31m|" / "run")
    other = shutil.copytree(run, tmp_path / "b" / "run")
    with monkeypatch.context() as patch, contextlib.suppress(BrokenPipeError, SystemExit):
        patch.setattr(sys, "stdout", Closed())
        evaluate.main([str(run), str(other), "--out", str(tmp_path / "out"), "--cpu"])
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    table = (tmp_path / "out" / "comparison.txt").read_text().rstrip("\n")
    assert r"red\x1b[31m\|" in table
    assert all(line.isprintable() for line in table.splitlines())
    assert len(record["rows"]) == 3


def test_out_that_is_a_file(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        evaluate.main([str(runs["ae"]), "--out", str(tmp_path / "file"), "--cpu"])
    assert "is a file: choose a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_existing_comparison_is_not_overwritten(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("comparison.json", "comparison.txt", "comparison.png"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(SystemExit, match="2"):
            evaluate.main([str(runs["ae"]), "--out", str(tmp_path)])
        assert f"already holds {name}" in capsys.readouterr().err
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_what_cannot_be_used_is_found_before_measuring(runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    config = evaluate.EvaluateConfig((runs["ae"],), out=tmp_path / "file" / "below")
    with pytest.raises(InputError, match="below cannot be written"):
        evaluate.check(config)
    with pytest.raises(InputError, match=r"--batch-size is 10.*: it must be from 1 to 1,000,000,000,000"):
        evaluate.check(dataclasses.replace(config, out=None, batch_size=10**20))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("no config", "is not a run folder"),
        ("no weights", "no model.safetensors"),
        ("text", "cannot be loaded"),
        ("shape", "cannot be loaded"),
    ],
)
def test_unusable_runs(
    damage: str, words: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if damage != "no config":
        (tmp_path / "config.json").write_bytes((runs["ae"] / "config.json").read_bytes())
    if damage == "text":
        (tmp_path / "model.safetensors").write_text("hello")
    if damage == "shape":
        (tmp_path / "model.safetensors").write_bytes((runs["notebook-ae"] / "model.safetensors").read_bytes())
    with pytest.raises(SystemExit, match="2"):
        evaluate.main([str(tmp_path), "--cpu"])
    assert words in capsys.readouterr().err
