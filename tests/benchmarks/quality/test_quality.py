"""The comparison of colorizers, end to end on small runs: rows, columns, reasons, intervals, files and refusals."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.baselines.reference_rows import reference_rows
from benchmarks.quality import options as quality
from benchmarks.quality import scorer as measures_module
from benchmarks.quality.bootstrap import BOOTSTRAPPED, SHARES, bootstrap
from benchmarks.quality.color_stats import color_scores
from benchmarks.quality.columns import COLUMNS, DISTINCT, HEADLINE
from benchmarks.quality.exchange import gray_images, read_images, write_images
from benchmarks.quality.options import QualityOptions, group_runs
from benchmarks.quality.pretrained_networks import WeightsUnavailable
from benchmarks.quality.scorer import Measures
from benchmarks.quality.summary import format_table
from colornet.color import rgb_to_lab, to_float
from colornet.config import TrainConfig
from colornet.data import Dataset
from colornet.data.splits import Labels
from colornet.errors import InputError
from colornet.evaluation.loop import gray_floor
from colornet.metrics.distribution import frechet_distance
from colornet.metrics.evaluator import CIFAR10_CLASSES
from colornet.metrics.features import evaluator_card
from colornet.metrics.image import image_metrics, summarize
from colornet.training.build import compose_trainer
from tests.colornet.metrics.test_image import photos, random_pixels
from tests.conftest import small

ROOT = Path(__file__).parents[3]


@dataclasses.dataclass
class Comparison:
    """What a comparison wrote and printed, and the runs that it compared."""

    out: Path
    record: dict[str, Any]
    printed: str
    runs: list[Path]
    cache: Path

    @property
    def rows(self) -> dict[str, Any]:
        return {row["name"]: row for row in self.record["rows"]}


@pytest.fixture(scope="module")
def comparison(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Compare two seeds of the AE and one notebook-AE, trained for an epoch on 54 images of 16 × 16 pixels."""
    root = tmp_path_factory.mktemp("quality")
    cache = root / "cache"
    runs = []
    for preset, seed in (("ae", 0), ("ae", 1), ("notebook-ae", 0)):
        run = root / f"{preset}-{seed}"
        compose_trainer(small(preset, folder, run, epochs=1, seed=seed, cache_dir=str(cache))).fit()
        runs.append(run)
    out = root / "out"
    arguments = [*map(str, runs), "--out", str(out), "--cpu", "--cache-dir", str(cache)]
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        quality.main(arguments)
    return Comparison(out, json.loads((out / "quality.json").read_text()), stdout.getvalue(), runs, cache)


def refused(*arguments: object) -> None:
    with pytest.raises(SystemExit) as caught:
        quality.main([str(argument) for argument in arguments])
    assert caught.value.code == 2


# --- what a comparison says ------------------------------------------------------------------------------------------


def test_a_record_says_what_was_measured_on_what(comparison: Comparison, folder: Path) -> None:
    record = comparison.record
    assert (record["kind"], record["protocol"]) == ("quality", "candidate v0")
    assert {"command", "commit", "date", "device", "versions"} <= record.keys()
    data = record["data"]
    assert (data["name"], data["split"], data["image_size"]) == (folder.name, "test", 16)
    assert (data["images"], data["training_images"]) == (21, 54)
    assert record["evaluators"]["cifar10_v1"]["sha256"] == evaluator_card("v1")["sha256"]
    assert list(record["columns"]) == list(COLUMNS)
    names = [row.name for row in reference_rows()]
    assert list(comparison.rows) == [*names, "ae", "notebook-ae-0", "notebook-ae-0, own gray"]
    assert all(row["values"].keys() == COLUMNS.keys() for row in record["rows"])


def test_near_duplicates_are_left_out_once_more(
    comparison: Comparison, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line is that of a comparison on the other images alone."""
    data = shutil.copytree(folder, tmp_path / "data")
    pictures = sorted((data / "test").rglob("*.png"))
    double = torch.arange(len(pictures)) % 8 == 0  # 3 of 21
    monkeypatch.setattr(measures_module, "near_duplicates", lambda images, training: double)
    record = compared(data, tmp_path / "out", comparison)
    assert record["data"]["near_duplicates"] == 3
    for path in pictures[::8]:
        path.unlink()
    monkeypatch.setattr(measures_module, "near_duplicates", lambda images, training: torch.zeros(18, dtype=torch.bool))
    without = compared(data, tmp_path / "without", comparison)
    for row, expected in zip(record["rows"], without["rows"], strict=True):
        assert set(row["distinct"]) == set(DISTINCT)
        if "nonsense" in row["name"]:
            continue  # made of the test images, or of their number
        for name in DISTINCT:
            found, value = row["distinct"][name], expected["values"][name]
            assert (found is None) == (value is None), (row["name"], name)
            if found is not None:
                assert found["mean"] == pytest.approx(value["mean"], rel=1e-6, abs=1e-6), (row["name"], name)
    assert "Without the 3 images that have a near-duplicate" in (tmp_path / "out" / "quality.md").read_text()


def compared(data: Path, out: Path, comparison: Comparison) -> dict[str, Any]:
    arguments = [str(comparison.runs[0]), "--data", str(data), "--out", str(out), "--cpu"]
    with contextlib.redirect_stdout(io.StringIO()):
        quality.main([*arguments, "--cache-dir", str(comparison.cache)])
    record: dict[str, Any] = json.loads((out / "quality.json").read_text())
    return record


def test_seeds_are_one_row_with_the_deviation_of_its_members(comparison: Comparison) -> None:
    row = comparison.rows["ae"]
    assert row["members"] == ["ae-0", "ae-1"]
    assert "2 seed(s)" in row["about"]
    assert [run["config"]["seed"] for run in row["runs"].values()] == [0, 1]
    assert all(run["images_seen"] == 6 * 8 for run in row["runs"].values())
    assert all(run["training"][0]["versions"]["torch"] for run in row["runs"].values())
    assert [point["images"] for point in row["runs"]["ae-0"]["validation"]][-1] == 6 * 8
    assert all(point.keys() >= {"fd_cifar10_dev", "cf", "psnr"} for point in row["runs"]["ae-0"]["validation"])
    for name in ("fd_cifar10_v1", "e_cifar10_v1", "kid_cifar10_v1_train", "psnr", "cf"):
        value = row["values"][name]
        assert len(set(value["members"])) == 2
        assert value["mean"] == pytest.approx(statistics.mean(value["members"]))
        assert value["sd"] == pytest.approx(abs(value["members"][0] - value["members"][1]) / math.sqrt(2))  # n − 1
    assert comparison.rows["notebook-ae-0"]["values"]["psnr"]["sd"] is None


def test_only_a_model_of_another_gray_has_a_row_for_it(comparison: Comparison) -> None:
    kinds = {name: row["kind"] for name, row in comparison.rows.items()}
    assert [name for name in kinds if "own gray" in name] == ["notebook-ae-0, own gray"]
    assert (kinds["notebook-ae-0, own gray"], kinds["notebook-ae-0"], kinds["ae"]) == ("unranked", "model", "model")
    ranked, own = (
        comparison.rows[name]["values"]["l1"]["mean"] for name in ("notebook-ae-0", "notebook-ae-0, own gray")
    )
    assert ranked != own


def test_errors_are_normalized_between_real_and_gray(comparison: Comparison) -> None:
    rows = comparison.rows
    for suffix in ("", "_train"):
        fd = {name: row["values"][f"fd_cifar10_v1{suffix}"]["mean"] for name, row in rows.items()}
        e = {name: row["values"][f"e_cifar10_v1{suffix}"]["mean"] for name, row in rows.items()}
        assert (e["real"], e["gray"]) == (0, 1)
        assert e["notebook-ae-0"] == pytest.approx((fd["notebook-ae-0"] - fd["real"]) / (fd["gray"] - fd["real"]))
        assert e["oracle, true ab"] < 0.1
    assert rows["real"]["values"]["fd_cifar10_v1"]["mean"] == pytest.approx(0, abs=1e-5)
    assert rows["real"]["values"]["fd_cifar10_v1_train"]["mean"] > 0.01
    assert rows["real"]["values"]["precision_cifar10_v1"]["mean"] == 1


def test_what_cannot_be_had_is_null_and_says_why(comparison: Comparison) -> None:
    reasons = {name: column["reason"] for name, column in comparison.record["columns"].items()}
    for name in ("fid", "kid", "precision", "recall", "fid_train", "kid_train"):
        assert reasons[name] == "Left out on a CPU, where it takes long: --inception on."
    assert reasons["lpips"] == "Left out on a CPU, where it takes long: --lpips on."
    assert reasons["accuracy"] == "The images are not sorted into the ten classes of CIFAR-10."
    for name, reason in reasons.items():
        values = [row["values"][name] for row in comparison.record["rows"]]
        assert (reason is None) == any(value is not None for value in values), name
    assert comparison.rows["real"]["values"]["psnr_pooled"] is None  # infinite, which JSON cannot hold


def test_values_are_those_of_the_package(comparison: Comparison) -> None:
    saved = load_file(comparison.out / "quality.safetensors")
    gray = comparison.rows["gray"]["values"]
    assert saved["cf/gray"].double().mean().item() == pytest.approx(gray["cf"]["mean"], rel=1e-5)
    assert gray["delta_cf"]["mean"] == pytest.approx(
        gray["cf"]["mean"] - comparison.rows["real"]["values"]["cf"]["mean"]
    )
    mean = comparison.rows["gray, channel mean"]["values"]
    assert mean["cf"]["mean"] == 0
    assert mean["lightness"]["mean"] > 2 * gray["lightness"]["mean"]


def test_intervals_belong_to_what_is_a_mean_over_images(comparison: Comparison) -> None:
    for row in comparison.record["rows"]:
        for name, value in row["values"].items():
            if value is not None:
                interval = value["interval"]
                assert (interval is not None) == (name in BOOTSTRAPPED), (row["name"], name)
                if interval is not None:
                    assert interval[0] <= value["mean"] <= interval[1], (row["name"], name)


def test_pictures_and_histograms(comparison: Comparison) -> None:
    saved = load_file(comparison.out / "quality.safetensors")
    pictures = comparison.record["pictures"]
    labels = pictures["labels"]
    assert labels[:3] == ["class0, first", "class1, first", "class2, first"]
    assert labels[3:] == [f"{end} of {name}" for name in ("ae", "notebook-ae-0") for end in ("best", "worst")]
    assert "first image of each class" in pictures["rule"]
    pictured = {name.removeprefix("pictures/") for name in saved if name.startswith("pictures/")}
    assert pictured == {"real", "gray", "ae", "notebook-ae-0"}
    for name in pictured:
        assert (saved[f"pictures/{name}"].dtype, saved[f"pictures/{name}"].shape) == (torch.uint8, (7, 3, 16, 16))
    for name in comparison.rows:
        assert saved[f"ab/{name}"].shape == (64, 64)
        assert saved[f"ab/{name}"].sum() == 21 * 16 * 16
        assert saved[f"cf/{name}"].shape == (21,)
    # Gray has a* = b* = 0, the corner of four bins; rows of the histogram are b*.
    assert saved["ab/gray"][31:33, 31:33].sum() == 21 * 16 * 16
    lab = rgb_to_lab(to_float(saved["pictures/real"][:1]))
    assert saved["ab/real"][((lab[0, 2] + 110) / 220 * 64).long(), ((lab[0, 1] + 110) / 220 * 64).long()].min() > 0
    with Image.open(comparison.out / "quality.png") as picture:
        assert picture.height == 4 * 16 * 3


def test_colors_and_failures_of_every_row(comparison: Comparison) -> None:
    """Of the truth and of gray what must be so; failures of the models alone that keep the lightness of the input."""
    rows = comparison.rows
    for row in rows.values():
        low, first, median, third, high = row["cf_quantiles"].values()
        assert low <= first <= median <= third <= high
        assert (row["failures"] is not None) == (row["name"] == "ae")
        assert row["diversity"] is None
    real = {name: value["mean"] for name, value in rows["real"]["values"].items() if value}
    assert sum(rows["real"]["hues"]) == pytest.approx(real["colored"] / 100 * 21 * 16 * 16)
    assert sum(rows["real"]["hues"][4:9]) == pytest.approx(real["sepia"] / 100 * 21 * 16 * 16, rel=0.02)
    assert real["sepia_of_colored"] == pytest.approx(100 * real["sepia"] / real["colored"])
    assert rows["gray"]["values"]["sepia"]["mean"] == 0
    assert rows["gray"]["values"]["sepia_of_colored"] is None  # of nothing
    failures = rows["ae"]["failures"]
    assert failures["counted"] == sum(failures["counts"].values()) == sum(failures["all"].values()) == 21
    assert failures["counts"].keys() == comparison.record["failure_categories"].keys()
    saved = load_file(comparison.out / "quality.safetensors")
    shown = saved["failures/ae"]  # (lists, n, versions, 3, H, W)
    assert shown.shape == (2, 10, 3, 3, 16, 16)
    worst = failures["lists"]["largest ΔE00"]
    assert [image["ciede2000"] for image in worst] == sorted((i["ciede2000"] for i in worst), reverse=True)
    found = image_metrics(shown[0, :, 1], shown[0, :, 2])
    assert found["ciede2000"].tolist() == pytest.approx([image["ciede2000"] for image in worst])
    assert found["cf_truth"].tolist() == pytest.approx([image["cf_truth"] for image in worst])
    assert "class" not in worst[0]  # not CIFAR-10's


def test_tables_on_the_terminal_and_in_the_file(comparison: Comparison) -> None:
    whole = (comparison.out / "quality.md").read_text().splitlines()
    assert whole[0].count(" | ") == len(COLUMNS)
    assert [line.split(" | ")[0].strip("| ") for line in whole[2:16]] == list(comparison.rows)
    assert "test images of" in comparison.printed
    headline = next(line for line in comparison.printed.splitlines() if line.startswith("| "))
    assert headline.count(" | ") == len(HEADLINE)
    assert "[1] Left out on a CPU, where it takes long: --inception on." in comparison.printed
    assert "--lpips" not in comparison.printed  # no footnote for a column that is not shown


def test_footnotes_are_numbered_and_shared() -> None:
    value = {"mean": 1.23456, "sd": None}
    rows = [
        {"name": "a", "values": {"fid": None, "kid": None, "lpips": None, "cf": value, "psnr": None}},
        {
            "name": "longer",
            "values": {"fid": None, "kid": None, "lpips": None, "cf": {"mean": 9, "sd": 0.06}, "psnr": value},
        },
    ]
    reasons = dict.fromkeys(COLUMNS) | {"fid": "No network.", "kid": "No network.", "lpips": "Not installed."}
    table = format_table(rows, reasons, ("fid", "kid", "lpips", "cf", "psnr")).splitlines()
    assert [cell.strip() for cell in table[2].strip("|").split("|")] == ["a", "– [1]", "– [1]", "– [2]", "1.2", "–"]
    assert [cell.strip() for cell in table[3].strip("|").split("|")][-2:] == ["9.0 ± 0.1", "1.23"]
    assert len({len(line) for line in table[:4]}) == 1
    assert table[4:] == ["", "[1] No network.", "[2] Not installed."]
    assert len(format_table(rows, reasons, ("cf", "psnr")).splitlines()) == 4
    assert r"\|ΔCF\|" in format_table([], reasons, ("delta_cf_image",))


# --- the networks of others ------------------------------------------------------------------------------------------


@pytest.fixture
def labeled() -> Dataset:
    """The photographs with their classes, a class a column, as a data set of its own."""
    classes = torch.arange(40) % 10
    labels = Labels(CIFAR10_CLASSES, classes, classes[:10], classes)
    return Dataset("photos", photos().flip(3), photos()[:10], photos(), "0", labels)


def measured(dataset: Dataset, cache: Path, **changes: Any) -> Measures:
    config = dataclasses.replace(QualityOptions(data="photos", cpu=True, cache_dir=cache, batch_size=16), **changes)
    classes = dataset.labels.test if dataset.labels else None
    return Measures(config, Accelerator(cpu=True), dataset.test, classes, dataset)


def test_semantic_accuracy_is_of_cifar10_only(labeled: Dataset, tmp_path: Path) -> None:
    scores = measured(labeled, tmp_path)(labeled.test)
    accuracy = scores.values["accuracy"]
    assert accuracy is not None
    assert 60 <= accuracy <= 100
    assert scores.per_image["right"].sum().item() == pytest.approx(accuracy * 40 / 100)
    wrong = measured(labeled, tmp_path)(labeled.test.roll(1, 0)).values["accuracy"]
    assert wrong is not None
    assert wrong < 30

    assert labeled.labels is not None
    others = dataclasses.replace(labeled.labels, classes=tuple("abcdefghij"))
    renamed = measured(dataclasses.replace(labeled, labels=others), tmp_path)
    assert renamed(labeled.test).values["accuracy"] is None
    assert "accuracy" in renamed.reasons


def tiny_inception(seen: list[int]) -> Callable[[Tensor], Tensor]:
    """Twelve features an image: the means over quarters of its rows; the sizes of batches are listed."""

    def features(images: Tensor) -> Tensor:
        seen.append(len(images))
        return to_float(images).unflatten(2, (4, -1)).mean((3, 4)).flatten(1)

    return features


def test_inception_columns_come_from_its_features(
    labeled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(measures_module, "find_weights", lambda *_, **__: tmp_path)
    monkeypatch.setattr(measures_module, "load_inception", lambda *_: tiny_inception(seen))
    measures = measured(labeled, tmp_path, inception="on", features_batch=15)
    assert seen == [15, 15, 10] * 2  # the true images and the training images
    assert "fid" not in measures.reasons
    assert measures.evaluators["inception"]["sha256"]
    values = measures(gray_floor(labeled.test)).values
    network = tiny_inception([])
    gray, truth, training = (network(part).double() for part in (gray_floor(photos()), photos(), labeled.train))
    assert values["fid"] == pytest.approx(frechet_distance(gray, truth), rel=1e-9)
    assert values["fid_train"] == pytest.approx(frechet_distance(gray, training), rel=1e-9)
    assert measures(labeled.test).values["fid"] == pytest.approx(0, abs=1e-9)
    assert all(values[name] is not None for name in ("kid", "kid_train", "precision", "recall"))
    assert values["fd_cifar10_v1"] != values["fid"]


def test_reference_features_are_computed_once(
    labeled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(measures_module, "find_weights", lambda *_, **__: tmp_path)
    monkeypatch.setattr(measures_module, "load_inception", lambda *_: tiny_inception(seen))
    first = measured(labeled, tmp_path, inception="on").references
    assert sum(seen) == 80
    second = measured(labeled, tmp_path, inception="on").references
    assert sum(seen) == 80
    assert all(torch.equal(first[net][part], second[net][part]) for net in first for part in first[net])

    files = list((tmp_path / "features").iterdir())
    assert len(files) == 4  # two networks, two sets of images
    for file in files:
        file.write_bytes(file.read_bytes()[:-100])
    third = measured(labeled, tmp_path, inception="on").references
    assert sum(seen) == 160
    assert all(torch.equal(first[net][part], third[net][part]) for net in first for part in first[net])

    changed = labeled.train.clone()
    changed[-1, -1, -1, -1] ^= 1
    measured(dataclasses.replace(labeled, train=changed), tmp_path, inception="on")
    assert sum(seen) == 200  # one of the two sets is another now


def test_weights_out_of_reach_leave_a_reason(labeled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: object, **__: object) -> None:
        raise WeightsUnavailable("No network here")

    monkeypatch.setattr(measures_module, "find_weights", unavailable)
    monkeypatch.setattr(measures_module, "load_lpips", unavailable)
    measures = measured(labeled, tmp_path, inception="on", lpips="on")
    for name in ("fid", "kid", "precision", "recall", "fid_train", "kid_train", "lpips"):
        assert measures.reasons[name] == "No network here."
    values = measures(labeled.test).values
    assert (values["fid"], values["lpips"]) == (None, None)
    assert values["fd_cifar10_v1"] == pytest.approx(0, abs=1e-5)


# --- intervals -------------------------------------------------------------------------------------------------------


def drawn(count: int, seed: int = 0) -> dict[str, Tensor]:
    """Per-image values of known distributions."""
    generator = torch.Generator().manual_seed(seed)
    names = ("psnr", "ssim", "l1", "ciede2000", "lightness", "cf", "cf_truth", "nazeri_2", "nazeri_5", "lpips", "mse")
    values = {name: torch.rand(count, dtype=torch.float64, generator=generator) for name in names}
    return values | {"right": (values["cf"] < 0.8).double(), "mse": 0.01 * values["mse"]}


def test_intervals_are_those_of_a_mean() -> None:
    widths = {}
    for count in (50, 5000):
        values = drawn(count)
        low, high = bootstrap([values])["ssim"]
        widths[count] = high - low
        assert low < values["ssim"].mean() < high
        assert high - low == pytest.approx(2 * 1.96 * values["ssim"].std().item() / math.sqrt(count), rel=0.12)
    assert widths[5000] < 0.2 * widths[50]


def test_intervals_contain_what_the_table_shows() -> None:
    """For real per-image values, and where one of two members reproduces images that the other does not."""
    outputs = (gray_floor(photos()), photos().roll(1, 3))
    members = [{**image_metrics(output, photos()), **color_scores(output, photos())} for output in outputs]
    members[1]["psnr"][:20] = math.inf
    intervals = bootstrap(members)
    summaries = [summarize(member) for member in members]
    assert intervals.keys() == set(BOOTSTRAPPED) - {"accuracy", "lpips"}
    described = {"mean_a", "mean_b", "chroma"}
    for name in set(intervals) - {*SHARES} - described:
        low, high = intervals[name]
        assert low < statistics.mean(summary[name] for summary in summaries) < high, name
    for name in ("nazeri_5", "colored", "sepia", *described):
        low, high = intervals[name]
        factor = 100 if name in SHARES else 1
        assert low < factor * statistics.mean(member[name].mean().item() for member in members) < high, name
    accuracy = bootstrap([drawn(1000)])["accuracy"]
    assert accuracy[0] < 100 * drawn(1000)["right"].mean() < accuracy[1]
    assert bootstrap([drawn(50)]) == bootstrap([drawn(50)])


# --- groups ----------------------------------------------------------------------------------------------------------


def run_folder(path: Path, **changes: Any) -> Path:
    path.mkdir(parents=True)
    config = dataclasses.replace(TrainConfig(), run_dir=str(path), **changes)
    (path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    return path


def test_groups_differ_in_more_than_the_seed(tmp_path: Path) -> None:
    runs = [
        run_folder(tmp_path / "ae-0", seed=0, data="/here/photos"),
        run_folder(tmp_path / "ae-wide", seed=0, width=16, data="/here/photos"),
        run_folder(tmp_path / "ae-1", seed=1, data="/there/photos", log_every=7),
        run_folder(tmp_path / "ae-short", seed=2, data="/here/photos", max_steps=10),
        run_folder(tmp_path / "ae-other", seed=3, data="/here/paintings"),
    ]
    groups = group_runs(runs)
    assert [group.name for group in groups] == ["ae", "ae-wide", "ae-short", "ae-other"]
    assert groups[0].members == (runs[0], runs[2])
    assert groups[1].config.width == 16


def test_groups_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [run_folder(tmp_path / "a" / "ae"), run_folder(tmp_path / "b" / "ae", width=16)]
    assert [group.name for group in group_runs(runs)] == [str(run) for run in runs]


def test_a_run_named_twice_is_no_second_seed(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "ae")
    with pytest.raises(InputError, match="named twice"):
        group_runs([run, tmp_path / "x" / ".." / "ae"])


def test_the_name_of_a_released_model_stands_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = run_folder(tmp_path / "weights" / "ae", data="sample")
    (released / "model.safetensors").touch()
    monkeypatch.setattr("colornet.runs.pretrained.WEIGHTS", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    (group,) = quality.check(QualityOptions(runs=(Path("ae"),), data="sample"))
    assert (group.name, group.members) == ("ae", (released,))
    own = run_folder(tmp_path / "ae", data="sample")  # a folder of that name comes first
    (own / "model.safetensors").touch()
    assert quality.check(QualityOptions(runs=(Path("ae"),), data="sample"))[0].members[0].resolve() == own


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Nothing is named to compare"),
        (
            ["notebook-cgan"],
            "'notebook-cgan' is a preset without released weights: train it",
        ),
        (["nowhere"], "nowhere is no run"),
        (["--images", "nowhere"], "No data set is named: give --data."),
        (["--data", "sample", "--images", "nowhere"], "--images nowhere is no folder"),
        (["RUN", "--batch-size", "0"], "--batch-size is 0"),
        (["RUN", "--features-batch", "-1"], "--features-batch is -1"),
        (["RUN", "--inception-weights", "nowhere.pth"], "There is no file nowhere.pth"),
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
    unfinished = run_folder(tmp_path / "ae-9", image_size=16, data=str(comparison.record["data"]["name"]))
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
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert "AssertionError" not in result.stderr
        assert result.returncode == (0 if "--help" in arguments else 2)
        assert ("--write-inputs" in result.stdout) == (arguments == ["quality", "--help"])
        assert ("throughput" in result.stdout) == (arguments == ["--help"])


# --- images of other programs ----------------------------------------------------------------------------------------


def test_exported_images_come_back_the_same(tmp_path: Path) -> None:
    grays = gray_images(photos())
    for labels, classes in ((torch.arange(40) % 10, CIFAR10_CLASSES), (None, ())):
        root = tmp_path / str(len(classes))
        write_images(root, grays, labels, classes)
        assert torch.equal(read_images(root, photos(), labels, classes), grays[:, :1].expand_as(grays))
    names = {path.relative_to(tmp_path / "10").as_posix() for path in (tmp_path / "10").rglob("*.png")}
    assert names == {f"{name}/{index:04d}.png" for name in CIFAR10_CLASSES for index in range(4)}
    with Image.open(tmp_path / "10" / "ship" / "0002.png") as image:  # the third image of the ninth class
        assert image.mode == "L"
        assert np.array_equal(np.array(image), grays[28, 0].numpy())
    assert (tmp_path / "0" / "images" / "0039.png").is_file()


def test_exported_grays_hold_the_lightness_at_8_bits() -> None:
    images = torch.cat((photos(), random_pixels(20)))
    grays = gray_images(images)
    assert (grays.int() - grays[:, :1].int()).abs().max() <= 1  # white is not exactly (1, 1, 1): one is written
    levels = rgb_to_lab(torch.arange(256).double().view(1, 256, 1, 1).expand(3, 256, 1, 1).movedim(1, 0) / 255)[
        :, 0, 0, 0
    ]
    step = levels.diff().max().item()  # of 8-bit sRGB, in L*
    eight_bits = (rgb_to_lab(to_float(images).double())[:, 0] * 2.55).round() / 2.55
    error = (levels[grays[:, 0].long()] - eight_bits).abs()
    assert error.max() <= 0.51 * step
    assert error.max() > 0.2 * step


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "size"])
def test_unusable_images_are_named(damage: str, tmp_path: Path) -> None:
    labels = torch.arange(40) % 10
    write_images(tmp_path, gray_images(photos()), labels, CIFAR10_CLASSES)
    path = tmp_path / "cat" / "0002.png"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
        (tmp_path / "dog" / "0001.png").unlink()
    elif damage == "size":
        Image.new("RGB", (32, 31)).save(path)
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    with pytest.raises(InputError) as caught:
        read_images(tmp_path, photos(), labels, CIFAR10_CLASSES)
    message = str(caught.value)
    assert {
        "missing": "lacks 2 of 40 images, the first is dog/0001.png: color every file",  # in the order of the data
        "truncated": f"{path} cannot be read (",
        "empty": f"{path} cannot be read (",
        "size": f"{path} has 32×31 pixels: it must have 32×32.",
    }[damage] in message
    assert "\n" not in message


def test_runs_export_inputs_of_their_size(comparison: Comparison, tmp_path: Path) -> None:
    quality.main([str(comparison.runs[0]), "--write-inputs", str(tmp_path / "inputs"), "--cpu", "--cache-dir",
                  str(comparison.cache)])  # fmt: skip
    paths = sorted((tmp_path / "inputs").rglob("*.png"))
    assert len(paths) == 21
    assert paths[-1].relative_to(tmp_path / "inputs").as_posix() == "class2/0006.png"
    with Image.open(paths[0]) as image:
        assert (image.size, image.mode) == ((16, 16), "L")


def test_images_of_another_program_are_scored(
    comparison: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exported inputs, uncolored: the gray row again, up to the rounding of L*; and a run of the same name."""
    run = shutil.copytree(comparison.runs[0], tmp_path / "run" / "gray")
    place = [str(run), "--cpu", "--cache-dir", str(comparison.cache)]
    gray = tmp_path / "gray"
    quality.main(["--write-inputs", str(gray), *place])
    assert "21 gray test images" in capsys.readouterr().out
    quality.main([*place, "--images", str(gray), "--out", str(tmp_path / "out"), "--robustness"])
    rows = {row["name"]: row for row in json.loads((tmp_path / "out" / "quality.json").read_text())["rows"]}
    assert len(rows) == len(reference_rows()) + 2  # the name of the folder and of the run belongs to another row
    assert rows["gray (2)"]["about"].startswith("Images that another program made")
    assert rows["gray (3)"]["values"]["psnr"]["mean"] == comparison.rows["ae"]["values"]["psnr"]["members"][0]
    for name in ("fd_cifar10_v1_mean", "fd_cifar10_v1_rec601"):  # asked for, and of models only
        assert [row_name for row_name, row in rows.items() if row["values"][name] is not None] == ["gray (3)"]
        assert rows["gray (3)"]["values"][name]["mean"] != rows["gray (3)"]["values"]["fd_cifar10_v1"]["mean"]
    expected, scored = rows["gray"]["values"], rows["gray (2)"]["values"]
    assert expected["e_cifar10_v1"]["mean"] == 1
    assert scored["e_cifar10_v1"]["mean"] == pytest.approx(1, abs=0.1)
    for name in ("psnr", "ssim", "ciede2000", "nazeri_5"):
        assert scored[name]["mean"] == pytest.approx(expected[name]["mean"], rel=0.02), name
    assert {"cf/gray", "cf/gray (2)"} <= load_file(tmp_path / "out" / "quality.safetensors").keys()

    (gray / "class1" / "0003.png").unlink()
    refused(*place, "--images", gray)
    assert "lacks 1 of 21 images, the first is class1/0003.png" in capsys.readouterr().err
