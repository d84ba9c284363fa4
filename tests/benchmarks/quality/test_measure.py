"""The comparison of colorizers from end to end on small runs: rows, columns, reasons, intervals, files."""

from __future__ import annotations

import json
import math
import re
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.baselines.reference_rows import reference_rows
from benchmarks.quality import scorer
from benchmarks.quality.columns import BOOTSTRAPPED, COLUMNS, DISTINCT
from benchmarks.quality.summary import SAMPLER
from colornet.color import rgb_to_lab, to_float
from colornet.metrics.evaluator import evaluator_card
from colornet.metrics.image import image_metrics
from tests.benchmarks.quality.comparison import Comparison, compare, read_rows, refused
from tests.benchmarks.report.records import table_after


def test_a_record_says_what_was_measured_on_what(comparison: Comparison, folder: Path) -> None:
    record = comparison.record
    assert (record["kind"], record["protocol"]) == ("quality", "candidate v1")
    assert {"command", "commit", "date", "device", "versions"} <= record.keys()
    data = record["data"]
    assert (data["name"], data["split"], data["image_size"]) == (folder.name, "test", 16)
    assert (data["images"], data["training_images"]) == (21, 54)
    assert record["evaluators"]["cifar10_v2"]["sha256"] == evaluator_card("v2")["sha256"]
    assert list(record["columns"]) == list(COLUMNS)
    names = [row.name for row in reference_rows()]
    assert list(comparison.rows) == [*names, "ae", "notebook-ae-0", "notebook-ae-0, own gray", SAMPLER]
    assert all(row["values"].keys() == COLUMNS.keys() for row in record["rows"])


def test_near_duplicates_are_left_out_once_more(
    comparison: Comparison, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line is that of a comparison on the other images alone."""
    data = shutil.copytree(folder, tmp_path / "data")
    pictures = sorted((data / "test").rglob("*.png"))
    double = torch.arange(len(pictures)) % 8 == 0  # 3 of 21
    monkeypatch.setattr(scorer, "near_duplicates", lambda images, training: double)
    record = compared(data, tmp_path / "out", comparison)
    assert record["data"]["near_duplicates"] == 3
    for path in pictures[::8]:
        path.unlink()
    monkeypatch.setattr(scorer, "near_duplicates", lambda images, training: torch.zeros(18, dtype=torch.bool))
    without = compared(data, tmp_path / "without", comparison)
    for row, expected in zip(record["rows"], without["rows"], strict=True):
        assert set(row["distinct"]) == set(DISTINCT)
        if row["kind"] == "sanity_check" or row["name"] in ("real, other images", SAMPLER):
            continue  # made of the test images, or of their number
        for name in DISTINCT:
            found, value = row["distinct"][name], expected["values"][name]
            assert (found is None) == (value is None), (row["name"], name)
            if found is not None:
                assert found["mean"] == pytest.approx(value["mean"], rel=1e-6, abs=1e-6), (row["name"], name)
    assert "Without the 3 images that have a near-duplicate" in (tmp_path / "out" / "quality.md").read_text()


def compared(data: Path, out: Path, comparison: Comparison) -> Any:
    compare(comparison.runs[0], "--data", data, "--out", out, "--cpu", "--cache-dir", comparison.cache)
    return json.loads((out / "quality.json").read_text())


def test_seeds_are_one_row_with_the_deviation_of_its_members(comparison: Comparison) -> None:
    row = comparison.rows["ae"]
    assert row["members"] == ["ae-0", "ae-1"]
    assert "2 seed(s)" in row["about"]
    assert [run["config"]["seed"] for run in row["runs"].values()] == [0, 1]
    assert all(run["images_seen"] == 6 * 8 for run in row["runs"].values())
    assert all(run["training"][0]["versions"]["torch"] for run in row["runs"].values())
    assert [point["images"] for point in row["runs"]["ae-0"]["validation"]][-1] == 6 * 8
    assert all(point.keys() >= {"fd_cifar10_v2_dev", "cf", "psnr"} for point in row["runs"]["ae-0"]["validation"])
    for name in ("fd_cifar10_v2", "e_cifar10_v2", "kid_cifar10_v2_train", "psnr", "cf"):
        value = row["values"][name]
        assert len(set(value["members"])) == 2
        assert value["mean"] == pytest.approx(statistics.mean(value["members"]))
        assert value["sd"] == pytest.approx(abs(value["members"][0] - value["members"][1]) / math.sqrt(2))  # n − 1
    assert comparison.rows["notebook-ae-0"]["values"]["psnr"]["sd"] is None


def test_only_a_model_of_another_gray_has_a_row_for_it(comparison: Comparison) -> None:
    kinds = {name: row["kind"] for name, row in comparison.rows.items()}
    assert [name for name in kinds if "own gray" in name] == ["notebook-ae-0, own gray"]
    assert (kinds["notebook-ae-0, own gray"], kinds["notebook-ae-0"], kinds["ae"]) == ("unranked", "model", "model")
    ranked, own = (comparison.rows[name]["values"]["l1"] for name in ("notebook-ae-0", "notebook-ae-0, own gray"))
    assert ranked["mean"] != own["mean"]


def test_errors_are_normalized_between_real_and_gray(comparison: Comparison) -> None:
    rows = {name: row for name, row in comparison.rows.items() if name != SAMPLER}  # which has no images
    for suffix in ("", "_train"):
        fd = {name: row["values"][f"fd_cifar10_v2{suffix}"]["mean"] for name, row in rows.items()}
        e = {name: row["values"][f"e_cifar10_v2{suffix}"]["mean"] for name, row in rows.items()}
        assert (e["real"], e["gray"]) == (0, 1)
        assert e["notebook-ae-0"] == pytest.approx((fd["notebook-ae-0"] - fd["real"]) / (fd["gray"] - fd["real"]))
        assert e["oracle, true ab"] < 0.1
    assert rows["real"]["values"]["fd_cifar10_v2"]["mean"] == pytest.approx(0, abs=1e-5)
    assert rows["real"]["values"]["fd_cifar10_v2_train"]["mean"] > 0.01
    assert rows["real"]["values"]["precision_cifar10_v2"]["mean"] == 1


def test_images_that_are_not_pairs_are_compared_as_sets_only(comparison: Comparison) -> None:
    values = comparison.rows["real, other images"]["values"]
    assert all(values[name] is None for name in ("psnr", "ssim", "ciede2000", "delta_cf_image", "accuracy", "l1"))
    assert values["fd_cifar10_v2"]["mean"] > 0.001
    assert values["w1_cf"]["mean"] > 0
    rows = {name: row["values"]["w1_cf"]["mean"] for name, row in comparison.rows.items()}
    assert rows["real"] == 0 < rows["oracle, mean ab"] < rows["gray"]


def test_a_perfect_sampler_of_colorfulness_has_no_images(comparison: Comparison) -> None:
    row = comparison.rows[SAMPLER]
    assert {name for name, value in row["values"].items() if value} == {"cf", "delta_cf", "delta_cf_image", "w1_cf"}
    assert row["values"]["delta_cf_image"]["mean"] > 1
    assert row["values"]["cf"]["mean"] == comparison.rows["real"]["values"]["cf"]["mean"]


def test_what_cannot_be_had_is_null_and_says_why(comparison: Comparison) -> None:
    reasons = {name: column["reason"] for name, column in comparison.record["columns"].items()}
    for name in ("fid", "kid", "precision", "recall", "fid_train", "kid_train"):
        assert reasons[name] == "Left out on a CPU, where it takes long: --inception on."
    assert reasons["fd_dinov2"] == "Left out on a CPU, where it takes long: --dinov2 on."
    assert reasons["lpips"] == "Left out on a CPU, where it takes long: --lpips on."
    assert reasons["accuracy"] == "The images are not sorted into the ten classes of CIFAR-10."
    for name, reason in reasons.items():
        values = [row["values"][name] for row in comparison.record["rows"]]
        assert (reason is None) == any(value is not None for value in values), name
    assert comparison.rows["real"]["values"]["psnr_pooled"] is None  # infinite, which JSON cannot hold


def test_values_are_those_of_the_package(comparison: Comparison) -> None:
    saved = load_file(comparison.out / "quality.safetensors")
    gray, real = (comparison.rows[name]["values"] for name in ("gray", "real"))
    assert saved["cf/gray"].double().mean().item() == pytest.approx(gray["cf"]["mean"], rel=1e-5)
    assert gray["delta_cf"]["mean"] == pytest.approx(gray["cf"]["mean"] - real["cf"]["mean"])
    mean = comparison.rows["gray, channel mean"]["values"]
    assert mean["cf"]["mean"] == 0
    assert mean["lightness"]["mean"] > 2 * gray["lightness"]["mean"]


def test_intervals_belong_to_what_is_a_mean_over_images(comparison: Comparison) -> None:
    for row in comparison.record["rows"]:
        for name, value in row["values"].items():
            if value is not None and row["name"] != SAMPLER:
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
    for name in comparison.rows.keys() - {SAMPLER}:
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
    markdown = (comparison.out / "quality.md").read_text()
    first = table_after(markdown, "Distance between")
    assert {*first} == {*comparison.rows}
    labels = {re.sub("<sup>.*", "", label) for table in markdown.split("#### ")[1:] for label in heads(table)}
    measured = {name for row in comparison.record["rows"] for name, value in row["values"].items() if value is not None}
    assert {
        COLUMNS[name].label.replace("|", "\\|").replace("*", "\\*") for name in measured - {"delta_cf_image"}
    } <= labels
    assert not {"FID", "LPIPS"} & labels  # without values
    assert "test images of" in comparison.printed
    assert "| notebook-ae-0, own gray " in comparison.printed
    assert "FID train and KID train (Left out on a CPU, where it takes long: --inception on)" in comparison.printed
    assert all(str(comparison.out / f"quality.{ending}") in comparison.printed for ending in ("png", "safetensors"))


def heads(table: str) -> list[str]:
    line = next((line for line in table.splitlines() if line.startswith("|")), "")
    return [cell.strip(" ") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_runs_export_inputs_of_their_size(comparison: Comparison, tmp_path: Path) -> None:
    compare(comparison.runs[0], "--write-inputs", tmp_path / "inputs", "--cpu", "--cache-dir", comparison.cache)
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
    assert "21 gray test images" in compare("--write-inputs", gray, *place)
    compare(*place, "--images", gray, "--out", tmp_path / "out", "--all-grays")
    rows = read_rows(tmp_path / "out")
    assert len(rows) == len(reference_rows()) + 3  # the name of the folder and of the run belongs to another row
    assert rows["gray (2)"]["about"].startswith("Images that another program made")
    assert rows["gray (3)"]["values"]["psnr"]["mean"] == comparison.rows["ae"]["values"]["psnr"]["members"][0]
    for name in ("fd_cifar10_v2_mean", "fd_cifar10_v2_rec601"):  # asked for, and of models only
        assert [row_name for row_name, row in rows.items() if row["values"][name] is not None] == ["gray (3)"]
        assert rows["gray (3)"]["values"][name]["mean"] != rows["gray (3)"]["values"]["fd_cifar10_v2"]["mean"]
    expected, scored = rows["gray"]["values"], rows["gray (2)"]["values"]
    assert expected["e_cifar10_v2"]["mean"] == 1
    assert scored["e_cifar10_v2"]["mean"] == pytest.approx(1, abs=0.1)
    for name in ("psnr", "ssim", "ciede2000", "accuracy_at_5"):
        assert scored[name]["mean"] == pytest.approx(expected[name]["mean"], rel=0.02), name
    assert {"cf/gray", "cf/gray (2)"} <= load_file(tmp_path / "out" / "quality.safetensors").keys()

    (gray / "class1" / "0003.png").unlink()
    refused(*place, "--images", gray)
    assert "lacks 1 of 21 images, the first is class1/0003.png" in capsys.readouterr().err
