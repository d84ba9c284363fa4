"""The record: what is measured, what belongs together in it, and what is said of rows without numbers."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.baselines.notebook_pipeline import NotebookPipeline
from benchmarks.core.record import Record
from benchmarks.core.steps import counted
from benchmarks.throughput.options import ThroughputOptions
from benchmarks.throughput.timing import plan
from colornet.models.unet import count_parameters
from colornet.training.trainer import Trainer
from tests.benchmarks.cases import CPU, images
from tests.benchmarks.commands import run_command
from tests.benchmarks.throughput.conftest import TINY


def test_record_has_all_keys(measured: Record) -> None:
    assert measured["kind"] == "throughput"
    assert measured.keys() >= {"command", "commit", "date", "device", "machine", "versions", "data", "peak", "method"}
    assert (measured["data"]["images"], measured["data"]["repeated_to"]) == (54, 45_000)
    assert measured["options"]["width"] == 8
    modes = [(row["preset"], row["mode"]) for row in measured["rows"]]
    assert modes == [("ae", "train"), ("ae", "inference"), ("notebook-cgan", "train"), ("notebook-cgan", "inference")]
    assert measured["rows"][0].keys() == {
        "preset", "mode", "batch_size", "precision", "compile", "whole_step", "width", "blocks", "overrides",
        "parameters",
        "images_per_second", "step_ms", "steps", "compile_seconds", "flops_per_image", "achieved_flops", "mfu",
        "peak_memory_bytes", "notebook_images_per_second", "ratio_to_notebook", "tf32", "reason",
    }  # fmt: skip


def test_numbers_of_a_row_belong_together(measured: Record) -> None:
    for row in measured["rows"]:
        step = row["step_ms"]
        assert 0 < step["p10"] <= step["median"] <= step["p90"]
        assert row["images_per_second"] == pytest.approx(16 / step["median"] * 1000)
        assert row["achieved_flops"] == pytest.approx(row["images_per_second"] * row["flops_per_image"])
        assert row["mfu"] == pytest.approx(row["achieved_flops"] / measured["peak"]["fp32"])
        assert row["ratio_to_notebook"] == pytest.approx(row["images_per_second"] / row["notebook_images_per_second"])
        assert (row["steps"], row["width"], row["overrides"]) == (3, 8, ["width", "blocks"])
        assert (row["compile"], row["compile_seconds"], row["tf32"]) == (False, None, None)
        assert row["peak_memory_bytes"] is None
        assert "--no-memory" in row["reason"]


def test_rooflines_are_those_of_the_rows_of_training(measured: Record) -> None:
    training = [row for row in measured["rows"] if row["mode"] == "train"]
    for row, roofline in zip(training, measured["rooflines"], strict=True):
        assert roofline["preset"] == row["preset"]
        assert roofline["measured_images_per_second"] == row["images_per_second"]
        assert sum(group["flops"] for group in roofline["groups"].values()) == 16 * row["flops_per_image"]
        assert roofline["share_of_bound"] == pytest.approx(row["images_per_second"] / roofline["images_per_second"])
        assert roofline["input_share"] == pytest.approx(1000 * roofline["input_seconds"] / row["step_ms"]["median"])
    assert measured["bandwidth"] > 0


def test_training_counts_all_its_passes(measured: Record) -> None:
    ae_train, ae_inference, gan_train, gan_inference = (row["flops_per_image"] for row in measured["rows"])
    assert 2.9 < ae_train / ae_inference <= 3  # forward, and backward to weights and inputs but those of the image
    assert gan_train / gan_inference > 3  # and the discriminator


def test_notebook_pipeline_is_timed_between_the_rows(measured: Record) -> None:
    notebook = measured["notebook_pipeline"]
    assert len(notebook["segments"]) == len(measured["rows"]) + 1
    assert notebook["steps"] == len(notebook["segments"])  # --notebook-steps 1
    assert min(notebook["segments"]) <= notebook["images_per_second"] <= max(notebook["segments"])
    for row, (before, after) in zip(measured["rows"], itertools.pairwise(notebook["segments"]), strict=True):
        # A segment is one step here: the median of two durations is their mean, that of speeds harmonic.
        assert row["notebook_images_per_second"] == pytest.approx(2 / (1 / before + 1 / after))
    notebook_cgan = measured["rows"][3]
    assert (notebook["width"], notebook["parameters"]) == (8, notebook_cgan["parameters"])
    assert notebook["flops_per_image"] == pytest.approx(3 * notebook_cgan["flops_per_image"], rel=0.02)


def test_notebook_pipeline_may_keep_its_width_beside_smaller_networks(folder: Path, tmp_path: Path) -> None:
    options = ["--presets", "ae", "--batch-sizes", "2", "--data", str(folder), "--notebook-width", "16"]
    record = run_command(tmp_path / "a.json", "throughput", *options, *TINY)
    assert (record["notebook_pipeline"]["width"], [row["width"] for row in record["rows"]]) == (16, [8, 8])
    assert record["notebook_pipeline"]["parameters"] == count_parameters(
        NotebookPipeline(images(2), width=16, device=CPU).network
    )


def test_without_notebook_pipeline_there_is_no_ratio(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--presets", "notebook-ae", "--batch-sizes", "2", "--data", str(folder), "--no-notebook-pipeline"]
    record = run_command(tmp_path / "a.json", "throughput", *options, *TINY)
    assert "notebook pipeline" not in capsys.readouterr().out
    assert record["notebook_pipeline"] is None
    assert [row["ratio_to_notebook"] for row in record["rows"]] == [None, None]
    assert all(row["images_per_second"] > 0 for row in record["rows"])


def test_what_does_not_fit_is_a_row_with_a_reason(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Trainer.train_step

    def too_large(trainer: Trainer, microbatches: list[Tensor]) -> None:
        if trainer.config.batch_size == 32:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation")
        step(trainer, microbatches)

    monkeypatch.setattr(Trainer, "train_step", too_large)
    options = ["--presets", "ae", "--batch-sizes", "32", "8", "--data", str(folder), "--no-notebook-pipeline"]
    failed, *others = run_command(tmp_path / "a.json", "throughput", *options, *TINY)["rows"]
    assert failed["reason"] == "Does not fit in memory: CUDA out of memory. Tried to allocate 20.00 GiB."
    assert {
        failed[name] for name in ("images_per_second", "step_ms", "mfu", "achieved_flops", "ratio_to_notebook")
    } == {None}
    assert [(row["mode"], row["batch_size"]) for row in others] == [("inference", 32), ("train", 8), ("inference", 8)]
    assert all(row["images_per_second"] > 0 for row in others)
    assert "[1] Does not fit in memory" in capsys.readouterr().out


def test_compiled_rows_compile_what_they_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda network, **_: compiled.append(type(network).__name__))
    options = ["--presets", "cgan", "--batch-sizes", "4", "--compile", "on", "--data", str(folder)]
    record = run_command(tmp_path / "a.json", "throughput", *options, "--no-notebook-pipeline", *TINY)
    assert compiled == ["UNet", "PatchDiscriminator", "UNet"]  # to train two of them, to color one; none to count
    assert all(row["compile"] and row["compile_seconds"] > 0 for row in record["rows"])


def test_whole_steps_are_rows_of_training_alone() -> None:
    options = ThroughputOptions(presets=("ae",), batch_sizes=(8,), whole_steps=("off", "on"), cpu=True)
    cases = plan(options, CPU)
    assert [(case.mode, case.config.whole_step) for case in cases] == [
        ("train", False), ("train", True), ("inference", False),
    ]  # fmt: skip
    assert [case.mode for case in plan(dataclasses.replace(options, modes=("train",)), CPU)] == ["train", "train"]
    assert not counted(cases[1]).config.whole_step
