"""The report on quality: its tables against the JSON, without near-duplicates, too, and its plots of colors."""

from __future__ import annotations

import dataclasses
import json
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.core.sections import blocks_text
from benchmarks.quality.columns import COLUMNS as ALL_COLUMNS
from benchmarks.quality.columns import DISTINCT
from benchmarks.quality.report import color_plots as chroma
from benchmarks.quality.report.verdict import verdict_blocks
from benchmarks.quality.scorer import Scores
from benchmarks.quality.summary import ScoredRow, summarize_result
from tests.benchmarks.report.records import (
    COLUMNS,
    ROWS,
    Record,
    make,
    quality_record,
    refused,
    table_after,
    write_json,
    write_quality,
)


def distinct_record() -> Record:
    """Let the suite summarize two models, of which the second is better only where near-duplicates are left out."""
    results = []
    for name, kind, fds in (
        ("real", "truth", [(0.0, 0.0)]),
        ("gray", "floor", [(1.0, 1.25)]),
        ("ae", "model", [(0.5, 0.625), (0.7, 0.825)]),
        ("cgan", "model", [(0.75, 0.375)]),
    ):
        scores = []
        for fd, distinct in fds:
            per_image = {column: torch.full((6,), 20.0).double() for column in ("psnr", "cf", "cf_truth", "mse")}
            values: dict[str, float | None] = {"fd_cifar10_v2": fd, "cf": 20.0, "psnr": 20.0}
            scores.append(Scores(values, per_image, values | {"fd_cifar10_v2": distinct}))
        runs: dict[str, Record] = {f"{name}-{seed}": {} for seed in range(len(fds))} if kind == "model" else {}
        results.append(ScoredRow(name, kind, f"What {name} is.", scores, torch.empty(0), runs))  # type: ignore[arg-type]
    measured = {"e_cifar10_v2", "fd_cifar10_v2", "cf", "psnr"}
    columns = {
        name: {**dataclasses.asdict(column), "reason": None if name in measured else "Left out here."}
        for name, column in ALL_COLUMNS.items()
    }
    record = quality_record() | {"columns": columns, "rows": [summarize_result(one, results) for one in results]}
    record["data"]["near_duplicates"] = 347
    del record["pictures"]
    return record


def cells(markdown: str) -> dict[str, dict[str, str]]:
    """Read the tables of quality: row, heading (less its footnote), cell."""
    found: dict[str, dict[str, str]] = {}
    for table in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        heading, _, *lines = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines())
        names = [re.sub("<sup>.*", "", cell) for cell in heading]
        for line in lines:
            found.setdefault(line[0].strip("*"), {}).update(zip(names[1:], line[1:], strict=True))
    return found


def test_tables_are_the_numbers_of_the_json(markdown: str) -> None:
    shown = cells(markdown)
    record = quality_record()
    assert shown.keys() == {row["name"] for row in record["rows"]}
    checked = 0
    for row in record["rows"]:
        for name, column in COLUMNS.items():
            value = row["values"][name]
            if value is not None:
                text = shown[row["name"]][column["label"]].strip("*").replace("−", "-")
                expected = [value["mean"]] if value["sd"] is None else [value["mean"], value["sd"]]
                assert [f"{number:.{column['decimals']}f}" for number in expected] == text.split(" ± ")
                checked += 1
    assert checked == 7 * 7 - 1
    assert shown["real"]["PSNR"] == "–"


def test_best_model_of_a_column_is_bold_and_nothing_else(page: str, markdown: str) -> None:
    bold = {(row, column) for row, line in cells(markdown).items() for column, text in line.items() if "**" in text}
    assert bold == {
        ("cgan", "FD v2"), ("cgan", "e v2"), ("cgan", "accuracy"), ("cgan", "CF"), ("cgan", "ΔCF"),
        ("ae", "PSNR"), ("ae", "ΔE00"),
    }  # fmt: skip
    assert page.count("<strong>") == len(bold)


def test_rows_are_shown_by_their_kind(tmp_path: Path) -> None:
    record = quality_record()
    record["rows"].reverse()
    (tmp_path / "quality.json").write_text(json.dumps(record), encoding="utf-8")
    shown = cells(make(tmp_path, tmp_path / "out")[1])
    assert [*shown] == ["real", "notebook-ae", "cgan", "ae", *(name for name, *_ in ROWS[1:4])]


def test_models_that_the_decimals_do_not_tell_apart_are_both_best(tmp_path: Path) -> None:
    record = quality_record()
    record["rows"][4]["values"]["psnr"] = {"mean": 26.111, "sd": None}
    record["rows"][5]["values"]["psnr"] = {"mean": 26.114, "sd": None}
    (tmp_path / "quality.json").write_text(json.dumps(record), encoding="utf-8")
    shown = cells(make(tmp_path, tmp_path / "out")[1])
    assert [shown[row]["PSNR"] for row in ("ae", "cgan", "notebook-ae")] == ["**26.11**", "**26.11**", "25.20"]


def test_column_without_values_is_not_shown_but_its_reason_is(page: str, markdown: str) -> None:
    assert not {*cells(markdown)["ae"]} & {"FID", "KID", "LPIPS"}
    note = (
        "Not measured: FID and KID (The weights of Inception were not found); LPIPS (The weights of AlexNet were not "
    )
    assert note in page
    assert note in markdown


def test_the_verdict_on_strength_is_not_won_by_the_right_mean() -> None:
    record = quality_record()
    column = {"label": "W1(CF)", "decimals": 1, "better": "lower", "about": "", "reason": None}
    record["columns"] = record["columns"] | {"w1_cf": column}
    models = {row["name"]: row["values"] for row in record["rows"] if row["kind"] == "model"}
    for values in models.values():
        values["w1_cf"] = {"mean": 12.0, "sd": None}
    models["ae"]["cf"], models["cgan"]["w1_cf"] = {"mean": 30.6, "sd": 0.0}, {"mean": 7.5, "sd": None}
    text = blocks_text(verdict_blocks(record))
    assert "Lowest W1(CF): cgan, 7.5 (3 seeds)" in text
    assert "CF nearest" not in text


def test_the_verdict_comes_first_and_says_how_sure_it_is(page: str, markdown: str) -> None:
    first = "CF nearest to the real images' 30.6: cgan, 24.8 ± 0.5 (3 seeds), ahead of ae, 13.4 ± 0.3 (3 seeds) by 11.4"
    assert f"{first}, more than the standard deviations over seeds." in markdown
    assert page.index("Lowest e v2: cgan, 0.215 ± 0.004 (3 seeds)") < page.index("<h3>Pictures")
    record = quality_record()
    rows = {row["name"]: row["values"] for row in record["rows"]}
    rows["ae"]["psnr"] = {"mean": 25.0, "sd": 0.3}
    rows["cgan"]["psnr"] = {"mean": 24.8, "sd": 0.1}
    rows["notebook-ae"]["psnr"] = None
    close = "Highest PSNR: ae, 25.00 ± 0.30 (3 seeds), ahead of cgan, 24.80 ± 0.10 (3 seeds) by 0.20"
    assert blocks_text(verdict_blocks(record)).endswith(f"{close}, within the spread of the seeds.")
    rows["notebook-ae"]["psnr"], rows["ae"]["psnr"] = {"mean": 26.0, "sd": None}, None
    caution = "by 1.20, more than the standard deviations over seeds, of which one is unknown."
    assert blocks_text(verdict_blocks(record)).endswith(caution)
    record["rows"] = [row for row in record["rows"] if row["kind"] != "model"]
    assert not verdict_blocks(record)


def test_scores_without_near_duplicates_have_a_table_of_their_own(tmp_path: Path) -> None:
    record = distinct_record()
    page, markdown = make(write_json(tmp_path / "results" / "quality.json", record), tmp_path / "out")
    heading = "Without the 347 images that have a near-duplicate among the training images"
    assert page.count(f"<h4>{heading}</h4>") == 1
    shown = table_after(markdown, heading)
    labels = {name: column["label"].replace("|", "\\|") for name, column in record["columns"].items()}
    assert {*shown["ae"]} == {labels[name] for name in DISTINCT if record["columns"][name]["reason"] is None}
    assert {row: line["FD v2"] for row, line in shown.items()} == {
        "real": "0.000", "gray": "1.250", "ae": "0.725 ± 0.141", "cgan": "0.375",
    }  # fmt: skip
    assert shown["cgan"]["e"] == "0.300"
    assert table_after(markdown, "Distance between")["cgan"]["FD v2"] == "0.750"


def test_best_model_without_near_duplicates_is_another(tmp_path: Path) -> None:
    _, markdown = make(write_json(tmp_path / "results" / "quality.json", distinct_record()), tmp_path / "out")
    everything, distinct = markdown.split("### Without the 347")
    assert "**0.600 ± 0.141**" in everything
    assert "**0.750**" not in everything
    assert "**0.375**" in distinct
    assert "**0.725 ± 0.141**" not in distinct


def test_no_table_of_near_duplicates_without_scores(page: str, markdown: str) -> None:
    assert "near-duplicate" not in page + markdown


def test_pictures_must_have_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = quality_record()
    record["pictures"]["labels"].append("truck")
    assert "another number of labels" in refused(write_quality(tmp_path, record), tmp_path / "out", capsys)


@pytest.mark.parametrize(("b", "a", "least"), [(45, 31, "b"), (31, 45, "g"), (31, 18, "r")])
def test_histograms_are_drawn_in_the_colors_that_they_count(b: int, a: int, least: str) -> None:
    counts = np.zeros((64, 64), dtype=np.int64)
    counts[b, a] = 100
    drawn = re.findall(r"data:image/png;base64,([^\"]*)", chroma.chroma_map(counts, None, 110, "a*b*"))
    with Image.open(BytesIO(b64decode(drawn[0]))) as image:
        pixels = np.asarray(image.convert("RGBA")).reshape(-1, 4)
    (color,) = {tuple(pixel[:3].tolist()) for pixel in pixels if pixel[3]}
    assert "rgb"[int(np.argmin(color))] == least  # yellow, pink and green
