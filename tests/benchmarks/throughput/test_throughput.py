"""Speed: what is counted and timed, what the notebook pipeline is, and what the record says of them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.baselines.notebook_pipeline import NotebookPipeline, PerImageDataset, gray_one_by_one
from benchmarks.core import memory
from benchmarks.core import timing as arithmetic
from benchmarks.core.timing import measure_peaks, peak_name, tf32_setting, time_steps
from benchmarks.throughput import options as throughput
from benchmarks.throughput import timing
from benchmarks.throughput.options import ThroughputOptions, format_table
from benchmarks.throughput.timing import Case, count_flops, plan, repeat_to_epoch
from colornet.data import Dataset
from colornet.models.unet import count_parameters
from colornet.presets import PRESETS
from colornet.training.trainer import Trainer

CPU, GPU = torch.device("cpu"), torch.device("cuda")
TINY = ["--image-size", "16", "--width", "8", "--blocks", "1", "--precisions", "no", "--steps", "3", "--warmup", "1",
        "--notebook-steps", "1", "--no-memory", "--cpu"]  # fmt: skip


def images(count: int, side: int = 16) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def dataset(count: int, side: int = 16) -> Dataset:
    return Dataset("made here", images(count, side), images(1, side), images(1, side), "")


def case(preset: str, mode: timing.Mode, **changes: Any) -> Case:
    return Case(preset, mode, dataclasses.replace(PRESETS[preset][1], cpu=True, **changes))


@pytest.fixture(scope="module", autouse=True)
def _small_peak() -> Iterator[None]:
    """Multiply small matrices for the peak: what is tested is its place in the record."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(arithmetic.PEAK_SIDE, "cpu", 128)
        patch.setitem(arithmetic.PEAK_CONVOLUTION, "cpu", (2, 16, 8))
        patch.setitem(arithmetic.COPY_NUMBERS, "cpu", 2**16)
        yield


@pytest.fixture(scope="module")
def measured(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Measure two presets in a few steps and read the record back."""
    out = tmp_path_factory.mktemp("throughput") / "new" / "record.json"
    presets = ["--presets", "ae", "notebook-cgan", "--roofline"]
    throughput.main([*presets, "--batch-sizes", "16", "--data", str(folder), "--out", str(out), *TINY])
    record: dict[str, Any] = json.loads(out.read_text())
    return record


# The notebook pipeline


def test_seed_network_is_the_one_described() -> None:
    pipeline = NotebookPipeline(images(2, side=32), width=64, device=CPU)
    assert count_parameters(pipeline.network) == 34_524_099


def test_seed_images_are_those_of_the_data_set() -> None:
    truth = images(3)
    items = [PerImageDataset(truth)[index] for index in range(3)]
    assert torch.equal(torch.stack([image for image, _ in items]), truth / 255)


def test_seed_gray_is_the_mean_of_the_channels() -> None:
    batch = images(3) / 255
    gray = gray_one_by_one(batch)
    assert gray.shape == (3, 1, 16, 16)
    torch.testing.assert_close(gray[:, 0], (batch[:, 0] + batch[:, 1] + batch[:, 2]) / 3)


def test_notebook_pipeline_learns() -> None:
    torch.manual_seed(0)
    pipeline = NotebookPipeline(images(64), width=8, device=CPU)
    losses = [pipeline.step() for _ in range(8)]  # each of them the whole data set
    assert losses[-1] < 0.8 * losses[0]


# Counting and timing


def test_flops_are_those_of_the_description() -> None:
    counted = count_flops(case("notebook-ae", "inference"), dataset(2, side=32))
    assert counted == pytest.approx(1.587e9, rel=5e-4)


def test_flops_include_attention() -> None:
    sizes = {"width": 32, "multipliers": (1, 2), "blocks": 1, "image_size": 16}
    with_it, without = (count_flops(case("ae", "inference", **sizes, attention=a), dataset(2)) for a in (True, False))
    channels, positions = 64, 8 * 8
    projections = 2 * positions * channels * 4 * channels  # to query, key, value and back
    products = 2 * 2 * positions * positions * channels  # of query and key, of attention and value
    assert with_it - without == projections + products


def test_flops_of_an_image_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = case("cgan", "train", width=8, discriminator_width=8, blocks=1, image_size=16)
    counts = []
    for size in (2, 6):
        monkeypatch.setattr(timing, "COUNTED_IMAGES", size)
        counts.append(count_flops(tiny, dataset(6)))
    assert counts[0] == counts[1] > 0


def test_time_of_a_step() -> None:
    durations = time_steps(lambda: time.sleep(0.01), 3, CPU)
    assert len(durations) == 3
    assert all(0.01 <= duration < 1 for duration in durations)


def test_time_on_a_gpu_is_that_between_events(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.milliseconds = now[0]

        def elapsed_time(self, end: Event) -> float:
            return end.milliseconds - self.milliseconds

    def step() -> None:
        now[0] += 10 + now[0]

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert time_steps(step, 3, GPU) == pytest.approx([0.01, 0.02, 0.04])


def test_fp32_rows_on_a_gpu_say_whether_it_is_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for convolutions in (True, False):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", convolutions)
        found[convolutions] = tf32_setting("no", GPU), peak_name("no", GPU)
    assert found == {True: ("in convolutions", "tf32"), False: ("off", "fp32")}
    assert (tf32_setting("bf16", GPU), peak_name("bf16", GPU)) == (None, "bf16")
    assert (tf32_setting("no", CPU), peak_name("no", CPU)) == (None, "fp32")


def test_peaks_are_those_of_the_rows_and_of_the_notebook_pipeline() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    peaks = measure_peaks(["no", "bf16"], CPU)
    assert list(peaks) == ["fp32", "bf16"]
    assert min(peaks.values()) > 0
    assert torch.backends.cuda.matmul.allow_tf32 == before


def test_peak_is_the_better_of_product_and_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    for product, convolution in ((3.0, 5.0), (5.0, 3.0)):
        monkeypatch.setattr(arithmetic, "matmul_peak", lambda *_, found=product: found)
        monkeypatch.setattr(arithmetic, "convolution_peak", lambda *_, found=convolution: found)
        assert measure_peaks(["no"], CPU) == {"fp32": 5.0}


def test_peak_of_a_convolution_counts_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    def count(step: arithmetic.Step, *_: object) -> list[float]:
        counted.append(arithmetic.flops_of(step))
        return [0.5, 0.25]

    monkeypatch.setattr(arithmetic, "time_steps", count)
    assert arithmetic.convolution_peak("bf16", CPU) == counted[0] / 0.25


def test_epoch_is_as_long_as_that_of_cifar10() -> None:
    repeated = repeat_to_epoch(dataset(7)).train
    assert len(repeated) == 45_000
    assert torch.equal(repeated[:7], repeated[7:14])


def test_plan_settles_what_is_left_open_and_names_no_case_twice() -> None:
    options = ThroughputOptions(presets=("ae", "ae"), batch_sizes=(8,), compile=("auto", "off", "on"), width=16)
    cases = plan(dataclasses.replace(options, precisions=("no",), cpu=True), CPU)
    assert [(c.mode, c.config.compile) for c in cases] == [
        ("train", "off"), ("inference", "off"), ("train", "on"), ("inference", "on"),
    ]  # fmt: skip
    assert all(c.config.width == c.config.discriminator_width == 16 for c in cases)
    (automatic, _) = plan(dataclasses.replace(options, compile=("off",), cpu=True), CPU)
    assert automatic.config.mixed_precision in ("no", "bf16")


# The record


def test_record_has_all_keys(measured: dict[str, Any]) -> None:
    assert measured["kind"] == "throughput"
    assert measured.keys() >= {"command", "commit", "date", "device", "machine", "versions", "data", "peak", "method"}
    assert (measured["data"]["images"], measured["data"]["repeated_to"]) == (54, 45_000)
    assert measured["options"]["width"] == 8
    modes = [(row["preset"], row["mode"]) for row in measured["rows"]]
    assert modes == [("ae", "train"), ("ae", "inference"), ("notebook-cgan", "train"), ("notebook-cgan", "inference")]
    assert measured["rows"][0].keys() == {
        "preset", "mode", "batch_size", "precision", "compile", "width", "blocks", "overrides", "parameters",
        "images_per_second", "step_ms", "steps", "compile_seconds", "flops_per_image", "achieved_flops", "mfu",
        "peak_memory_bytes", "notebook_images_per_second", "ratio_to_notebook", "tf32", "reason",
    }  # fmt: skip


def test_numbers_of_a_row_belong_together(measured: dict[str, Any]) -> None:
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


def test_rooflines_are_those_of_the_rows_of_training(measured: dict[str, Any]) -> None:
    training = [row for row in measured["rows"] if row["mode"] == "train"]
    for row, roofline in zip(training, measured["rooflines"], strict=True):
        assert roofline["preset"] == row["preset"]
        assert roofline["measured_images_per_second"] == row["images_per_second"]
        assert sum(group["flops"] for group in roofline["groups"].values()) == 16 * row["flops_per_image"]
        assert roofline["share_of_bound"] == pytest.approx(row["images_per_second"] / roofline["images_per_second"])
        assert roofline["input_share"] == pytest.approx(1000 * roofline["input_seconds"] / row["step_ms"]["median"])
    assert measured["bandwidth"] > 0
    assert "Roofline of notebook-cgan, batch 16, fp32" in format_table(measured)


def test_training_counts_all_its_passes(measured: dict[str, Any]) -> None:
    ae_train, ae_inference, gan_train, gan_inference = (row["flops_per_image"] for row in measured["rows"])
    assert 2.9 < ae_train / ae_inference <= 3  # forward, and backward to weights and inputs but those of the image
    assert gan_train / gan_inference > 3  # and the discriminator


def test_notebook_pipeline_is_timed_between_the_rows(measured: dict[str, Any]) -> None:
    seed = measured["notebook_pipeline"]
    assert len(seed["segments"]) == len(measured["rows"]) + 1
    assert seed["steps"] == len(seed["segments"])  # --notebook-steps 1
    assert min(seed["segments"]) <= seed["images_per_second"] <= max(seed["segments"])
    for row, (before, after) in zip(measured["rows"], itertools.pairwise(seed["segments"]), strict=True):
        # A segment is one step here: the median of two durations is their mean, that of speeds harmonic.
        assert row["notebook_images_per_second"] == pytest.approx(2 / (1 / before + 1 / after))
    notebook_cgan = measured["rows"][3]
    assert (seed["width"], seed["parameters"]) == (8, notebook_cgan["parameters"])
    assert seed["flops_per_image"] == pytest.approx(3 * notebook_cgan["flops_per_image"], rel=0.02)


def test_notebook_pipeline_may_keep_its_width_beside_smaller_networks(folder: Path, tmp_path: Path) -> None:
    options = ["--presets", "ae", "--batch-sizes", "2", "--data", str(folder), "--notebook-width", "16"]
    throughput.main([*options, "--out", str(tmp_path / "a.json"), *TINY])
    record = json.loads((tmp_path / "a.json").read_text())
    assert (record["notebook_pipeline"]["width"], [row["width"] for row in record["rows"]]) == (16, [8, 8])
    assert record["notebook_pipeline"]["parameters"] == count_parameters(
        NotebookPipeline(images(2), width=16, device=CPU).network
    )


def test_table_reads_as_text(measured: dict[str, Any]) -> None:
    table = format_table(measured)
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "notebook pipeline",
        "ae",
        "ae",
        "notebook-cgan",
        "notebook-cgan",
    ]
    assert "--width 8 --blocks 1, not the presets' own" in table
    assert table.count("[1]") == 5


def test_without_notebook_pipeline_there_is_no_ratio(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--presets", "notebook-ae", "--batch-sizes", "2", "--data", str(folder), "--no-notebook-pipeline"]
    throughput.main([*options, "--out", str(tmp_path / "a.json"), *TINY])
    assert "notebook pipeline" not in capsys.readouterr().out
    record = json.loads((tmp_path / "a.json").read_text())
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
    throughput.main([*options, "--out", str(tmp_path / "a.json"), *TINY])
    failed, *others = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert failed["reason"] == "Does not fit in memory: CUDA out of memory. Tried to allocate 20.00 GiB."
    assert {
        failed[name] for name in ("images_per_second", "step_ms", "mfu", "achieved_flops", "ratio_to_notebook")
    } == {None}
    assert [(row["mode"], row["batch_size"]) for row in others] == [("inference", 32), ("train", 8), ("inference", 8)]
    assert all(row["images_per_second"] > 0 for row in others)
    assert "[1] Does not fit in memory" in capsys.readouterr().out


def test_compiled_rows_compile_what_they_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda network: compiled.append(type(network).__name__))
    options = ["--presets", "cgan", "--batch-sizes", "4", "--compile", "on", "--data", str(folder)]
    throughput.main([*options, "--no-notebook-pipeline", "--out", str(tmp_path / "a.json"), *TINY])
    assert compiled == ["UNet", "PatchDiscriminator", "UNet"]  # to train two of them, to color one; none to count
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert all(row["compile"] and row["compile_seconds"] > 0 for row in rows)


# Memory


@pytest.mark.parametrize(
    ("room", "granularity", "found"),
    [
        (1, 64, None),
        (2, 64, 2),
        (5, 1, 5),
        (100, 64, 64),
        (100, 16, 96),
        (100, 20, 100),
        (191, 64, 128),
        (10**6, 64, 2**16),
    ],
)
def test_largest_batch_that_fits(room: int, granularity: int, found: int | None) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= room

    assert memory.largest(fits, granularity) == found
    assert len(tried) == len(set(tried)) <= 30
    assert all(size in (2**n for n in range(17)) or size % granularity == 0 for size in tried)


def test_fresh_process_measures_the_batch_that_it_is_given() -> None:
    large = case("ae", "train", width=8, blocks=1, batch_size=512, mixed_precision="no")
    peak = memory.peak_memory(large)
    assert peak is not None
    activation = 512 * 32 * 32 * 8 * 4  # bytes of one of the largest; a step keeps more than ten, beside torch itself
    assert 100 * 2**20 + 10 * activation < peak < 100 * activation


def test_process_over_its_limit_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise SystemExit(code)

    peaks = iter([10, 20, 31])
    monkeypatch.setattr(memory, "read_peak", lambda: next(peaks))
    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(SystemExit, match="3"):
        memory._end_over(30)
    assert not list(peaks)


@pytest.mark.parametrize(("code", "peak"), [(0, 1234), (3, None), (-9, None)])
def test_end_of_the_fresh_process_says_what_it_found(
    code: int, peak: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], code, "1234", ""))
    assert memory.peak_memory(case("ae", "train"), limit=5000) == peak


def test_failure_of_the_fresh_process_is_no_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "it broke\n"))
    with pytest.raises(RuntimeError, match="measures memory failed: it broke"):
        memory.peak_memory(case("ae", "train"))


def test_peak_is_at_least_what_is_occupied() -> None:
    before = memory.read_peak()
    occupied = torch.ones(2**24)  # 64 MiB
    assert memory.read_peak() >= max(before, occupied.nbytes)


def test_what_a_gpu_cannot_hold_is_tried_and_released(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[int] = []

    def run(case: Case) -> None:
        if case.config.batch_size > 100:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(memory, "_run", run)
    monkeypatch.setattr(memory, "release", lambda: released.append(1))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 10)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 30)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    on_gpu = dataclasses.replace(case("ae", "train"), config=dataclasses.replace(PRESETS["ae"][1], cpu=False))
    found = memory.find_batch(on_gpu, ThroughputOptions(find_batch=True, batch_granularity=16))
    assert (found["batch_size"], found["peak_memory_bytes"], found["capped"]) == (96, 20, False)
    assert len(released) == len(found["tries"])
    assert {"batch_size": 128, "peak_memory_bytes": None} in found["tries"]


def test_record_holds_largest_batch_and_memory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "benchmarks.core.memory._peak_of_fresh_process", lambda case, limit: (100 + case.config.batch_size) * 2**20
    )
    options = ["--presets", "notebook-ae", "--batch-sizes", "4", "--data", str(folder), "--no-notebook-pipeline"]
    search = ["--find-batch", "--memory-limit", "0.25", "--batch-granularity", "8"]
    throughput.main([*options, *search, "--out", str(tmp_path / "a.json"), *TINY, "--memory"])
    record = json.loads((tmp_path / "a.json").read_text())
    assert [row["peak_memory_bytes"] for row in record["rows"]] == [104 * 2**20] * 2
    assert [row["reason"] for row in record["rows"]] == [None, None]
    (found,) = record["largest_batches"]
    assert (found["preset"], found["batch_size"], found["memory_limit_bytes"]) == ("notebook-ae", 152, 2**28)
    assert "Largest batch of notebook-ae, fp32 in 0.25 GiB: 152 (tried in steps of 8)" in capsys.readouterr().out


# What is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--presets", "ea"], "--presets names 'ea': it must be one of ae, cgan"),
        (["--batch-sizes", "0"], "--batch-sizes names 0"),
        (["--batch-sizes", "45001"], "at most 45,000"),
        (["--steps", "0"], "--steps is 0: it must be at least 1"),
        (["--warmup", "-1"], "--warmup is -1"),
        (["--width", "0"], "--width is 0"),
        (["--notebook-width", "0"], "--notebook-width is 0"),
        (["--image-size", "24", "--presets", "ae"], "the notebook pipeline needs a multiple of 16"),
        (["--image-size", "30"], "--image-size is 30: it must be a multiple of 4"),
        (["--data", "sampel"], "did you mean 'sample'?"),
        (["--precisions", "fp16", "--cpu"], "--precisions fp16 needs a GPU"),
        (["--batch-granularity", "0"], "--batch-granularity is 0"),
        (["--find-batch", "--memory-limit", "0"], "--memory-limit is 0.0: it must be a positive number"),
        (["--memory-limit", "1"], "--memory-limit is for --find-batch only"),
        (["--find-batch", "--cpu"], "--find-batch on a CPU needs --memory-limit"),
        (["--find-batch", "--cpu", "--memory-limit", "1e6"], "--memory-limit is 1e+06: it must be at most"),
    ],
)
def test_bad_options(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        throughput.main(options)
    assert words in capsys.readouterr().err


def test_existing_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        throughput.main(["--out", str(tmp_path / "a.json")])
    assert "exists already: choose another name" in capsys.readouterr().err
    assert (tmp_path / "a.json").read_text() == "mine"


def test_one_process_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="2"):
        throughput.main([])
    assert "2 processes were launched" in capsys.readouterr().err


def test_options_are_answered_without_torch() -> None:
    code = "import sys, benchmarks.throughput.options; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
