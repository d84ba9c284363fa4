"""The report: its tables against the JSON, its page as HTML, and what it refuses."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import statistics
import subprocess
import sys
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from benchmarks import arithmetic, memory, report, speedrun_race
from benchmarks.columns import COLUMNS as ALL_COLUMNS
from benchmarks.columns import DISTINCT
from benchmarks.measures import Scores
from benchmarks.report import chroma
from benchmarks.roofline import GROUPS
from benchmarks.speedrun import SpeedrunConfig
from benchmarks.tabulation import Result, summarize_result
from benchmarks.throughput import ThroughputConfig
from benchmarks.throughput_record import measure

Record = dict[str, Any]

ORIGIN: Record = {
    "command": "python -m benchmarks …",
    "commit": "663bc84f0000111122223333444455556666777+",
    "date": "2025-03-01T10:00:00+00:00",
    "device": "NVIDIA H100 80GB HBM3",
    "machine": "Linux x86_64",
    "versions": {"python": "3.12.1", "torch": "2.15.0"},
}
COLUMNS: Record = {
    name: {"label": label, "decimals": decimals, "better": better, "about": f"What {label} is.", "reason": reason}
    for name, label, decimals, better, reason in (
        ("fid", "FID", 2, "lower", "The weights of Inception were not found."),
        ("kid", "KID", 4, "lower", "The weights of Inception were not found."),
        ("fd_cifar10_v1", "FD v1", 3, "lower", None),
        ("e_cifar10_v1", "e v1", 3, "lower", None),
        ("accuracy", "accuracy", 3, "higher", None),
        ("cf", "CF", 1, "truth", None),
        ("delta_cf", "ΔCF", 1, "truth", None),
        ("psnr", "PSNR", 2, "higher", None),
        ("ciede2000", "ΔE00", 2, "lower", None),
        ("lpips", "LPIPS", 3, "lower", "The weights of AlexNet were not found."),
    )
}
ROWS = (  # name, kind, seeds, values in the order of the columns that have some
    ("real", "truth", 0, (0.0, 0.0, 0.937, 30.6, 0.0, None, 0.0)),
    ("grey", "floor", 0, (0.215, 1.0, 0.816, 0.1, -30.5, 25.49, 10.46)),
    ("oracle, mean ab", "oracle", 0, (0.081, 0.377, 0.862, 9.9, -20.7, 29.40, 6.60)),
    ("nonsense, gradient", "nonsense", 0, (0.452, 2.102, 0.701, 30.6, 0.0, 21.30, 14.20)),
    ("ae", "model", 3, (0.0791, 0.368, 0.852, 13.4, -17.2, 26.11, 9.17)),
    ("cgan", "model", 3, (0.0463, 0.215, 0.861, 24.8, -5.8, 24.01, 11.18)),
    ("seed-ae", "model", 1, (0.0912, 0.424, 0.829, 11.8, -18.8, 25.20, 9.61)),
)


def quality_record() -> Record:
    """Make a result of the kind "quality" with numbers as they may be."""
    measured = [name for name, column in COLUMNS.items() if column["reason"] is None]
    rows = []
    for name, kind, seeds, values in ROWS:
        spread = [0.02 * abs(value) if seeds > 1 and value is not None else None for value in values]
        named = {
            column: None if value is None else {"mean": value, "sd": sd, "interval": None}
            for column, value, sd in zip(measured, values, spread, strict=True)
        }
        members = [f"runs/{name}-{seed}" for seed in range(seeds)]
        empty = dict.fromkeys(COLUMNS.keys() - named.keys())
        rows.append(
            {"name": name, "kind": kind, "about": f"What {name} is.", "members": members, "values": named | empty}
        )
    data = {"name": "cifar10-jpeg", "split": "test", "images": 10000, "fingerprint": "0123abcd", "image_size": 32}
    pictures = {"file": "quality.safetensors", "rule": "The first image of each class.", "labels": ["airplane", "ship"]}
    return {
        "kind": "quality",
        "protocol": "candidate v0",
        **ORIGIN,
        "data": data,
        "columns": COLUMNS,
        "rows": rows,
        "pictures": pictures,
    }


def throughput_record() -> Record:
    """Make a result of the kind "throughput" with numbers as they may be."""
    rows = []
    for preset, speed in (("ae", 41_000.0), ("cgan", 23_456.7), ("seed-ae", 30_100.0), ("seed-cgan", None)):
        for mode, factor in (("train", 1.0), ("inference", 3.3)):
            row = {"preset": preset, "mode": mode, "batch_size": 256, "precision": "bf16", "compile": True, "width": 64}
            row |= {"parameters": 12_300_000, "tf32": None, "images_per_second": speed and speed * factor}
            row |= {"reason": None if speed else "Does not fit in memory.", "ratio_to_seed": speed and speed / 2_345.6}
            row |= {"step_ms": speed and {"median": 256e3 / speed, "p10": 250e3 / speed, "p90": 270e3 / speed}}
            row |= {"achieved_flops": speed and 1.9e14, "mfu": speed and 0.31, "compile_seconds": speed and 61.2}
            rows.append(row | {"peak_memory_bytes": speed and 3.1e9})
    seed = {"images_per_second": 2_345.6, "batch_size": 64, "precision": "no"}
    return {"kind": "throughput", **ORIGIN, "peak": {"bf16": 6.1e14}, "seed_pipeline": seed, "rows": rows}


def distinct_record() -> Record:
    """Let the suite summarise two models, of which the second is better only where near-duplicates are left out."""
    results = []
    for name, kind, fds in (
        ("real", "truth", [(0.0, 0.0)]),
        ("grey", "floor", [(1.0, 1.25)]),
        ("ae", "model", [(0.5, 0.625), (0.7, 0.825)]),
        ("cgan", "model", [(0.75, 0.375)]),
    ):
        scores = []
        for fd, distinct in fds:
            per_image = {column: torch.full((6,), 20.0).double() for column in ("psnr", "cf", "cf_truth", "mse")}
            values: dict[str, float | None] = {"fd_cifar10_v1": fd, "cf": 20.0, "psnr": 20.0}
            scores.append(Scores(values, per_image, values | {"fd_cifar10_v1": distinct}))
        runs: dict[str, Record] = {f"{name}-{seed}": {} for seed in range(len(fds))} if kind == "model" else {}
        results.append(Result(name, kind, f"What {name} is.", scores, torch.empty(0), runs))  # type: ignore[arg-type]
    measured = {"e_cifar10_v1", "fd_cifar10_v1", "cf", "psnr"}
    columns = {
        name: {**dataclasses.asdict(column), "reason": None if name in measured else "Left out here."}
        for name, column in ALL_COLUMNS.items()
    }
    record = quality_record() | {"columns": columns, "rows": [summarize_result(one, results) for one in results]}
    record["data"]["near_duplicates"] = 347
    del record["pictures"]
    return record


@pytest.fixture(scope="module")
def race(folder: Path) -> Record:
    """Let the suite race three seeds on 54 images to errors that are set: the third does not get there."""
    errors = itertools.chain([0.02, 0.01], [0.03, 0.009], [0.008], itertools.repeat(0.03))
    options = SpeedrunConfig(
        width=8, multipliers=(1, 2), blocks=1, batch_size=16, epochs=2, seeds=3, eval_steps=2, seed_epochs=2,
        seed_width=8, data=str(folder), image_size=16, mixed_precision="no", cpu=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speedrun_race, "held_out_mse", lambda *_, **__: next(errors))
        found = speedrun_race.race(options)
    return dict(json.loads(json.dumps(found)))


@pytest.fixture(scope="module")
def rooflines(folder: Path) -> Record:
    """Let the suite time two tiny presets and find their largest batches, of which those up to 100 images fit."""
    options = ThroughputConfig(
        presets=("ae", "seed-cgan"), batch_sizes=(4,), precisions=("no",), width=8, blocks=1, image_size=16, steps=1,
        warmup=0, seed_pipeline=False, memory=False, roofline=True, find_batch=True, batch_granularity=32,
        memory_limit=0.5, data=str(folder), cpu=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(arithmetic.PEAK_SIDE, "cpu", 128)
        patch.setitem(arithmetic.COPY_NUMBERS, "cpu", 2**16)
        patch.setattr(memory, "peak_memory", lambda case, _: 2**28 if case.config.batch_size <= 100 else None)
        return dict(json.loads(json.dumps(measure(options))))


def write_quality(folder: Path, record: Record) -> Path:
    """Write a quality result and the tensors beside it: two images, a histogram and 50 values of each row."""
    rng = np.random.default_rng(0)
    tensors = {}
    for row in record["rows"]:
        vividness = (row["values"]["cf"]["mean"] + 1) / 31
        a, b = rng.normal(0, 30 * vividness, (2, 5000))
        tensors[f"pictures/{row['name']}"] = rng.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
        tensors[f"ab/{row['name']}"] = np.histogram2d(b, a, 64, [(-110, 110)] * 2)[0].astype(np.int64)
        tensors[f"cf/{row['name']}"] = rng.gamma(3, 10 * vividness, 50).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "quality.safetensors")
    (folder / "quality.json").write_text(json.dumps(record))
    return folder


def write_run(folder: Path, final_cf: float) -> None:
    """Write the configuration and the curves of a run."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"seed": 0, "batch_size": 256}))
    lines = []
    for step in range(10, 4000, 10):
        record: Record = {"step": step, "loss/reconstruction": 0.05 + 0.1 / step**0.5, "lr/generator": 1e-3}
        if step % 500 == 0:
            record |= {
                "validation/cf": final_cf * (1 - 50 / step),
                "validation/cf_truth": 30.6,
                "validation/psnr": None,
            }
        lines.append(json.dumps(record))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 40')  # a run that is still going on


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    write_quality(root, quality_record())
    (root / "throughput.json").write_text(json.dumps(throughput_record()))
    for run, cf in (("ae-0", 13.0), ("ae-1", 13.4), ("cgan-0", 24.8)):
        write_run(root / "runs" / run, cf)
    (root / "other.json").write_text("[1, 2]")
    return root


@pytest.fixture(scope="module")
def written(results: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make(results, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def page(written: tuple[str, str]) -> str:
    return written[0]


@pytest.fixture(scope="module")
def markdown(written: tuple[str, str]) -> str:
    return written[1]


def make(results: Path, out: Path) -> tuple[str, str]:
    """Run the command; return the page and the Markdown."""
    report.main([str(results), "--out", str(out)])
    return (out / "report.html").read_text("utf-8"), (out / "report.md").read_text("utf-8")


def refused(results: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command, which must end with exit code 2 and a sentence; return the sentence."""
    with pytest.raises(SystemExit, match="2"):
        report.main([str(results), "--out", str(out)])
    (sentence,) = capsys.readouterr().err.splitlines()
    return sentence


def cells(markdown: str) -> dict[str, dict[str, str]]:
    """Read the tables of quality: row, heading (less its footnote), cell."""
    found: dict[str, dict[str, str]] = {}
    for table in re.findall(r"(?:^\|.*\n)+", markdown.partition("## Throughput")[0], re.MULTILINE):
        heading, _, *lines = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines())
        names = [re.sub("<sup>.*", "", cell) for cell in heading]
        for line in lines:
            found.setdefault(line[0].strip("*"), {}).update(zip(names[1:], line[1:], strict=True))
    return found


def table_after(markdown: str, heading: str) -> dict[str, dict[str, str]]:
    """Read the first table after a heading: row, heading, cell, without what makes them bold or italic."""
    table = re.search(r"(?:^\|.*\n)+", markdown.partition(heading)[2], re.MULTILINE)
    assert table is not None, f"no table after {heading}"
    split = (re.split(r"(?<!\\)\|", line)[1:-1] for line in table[0].splitlines())
    heads, _, *lines = ([cell.strip(" *") for cell in line] for line in split)
    return {line[0]: dict(zip(heads[1:], line[1:], strict=True)) for line in lines}


def write_json(path: Path, record: Record) -> Path:
    """Write a record into a folder of its own; return the folder."""
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    return path.parent


def test_tables_are_the_numbers_of_the_json(markdown: str) -> None:
    shown = cells(markdown)
    record = quality_record()
    assert shown.keys() == {row["name"] for row in record["rows"]}
    checked = 0
    for row in record["rows"]:
        for name, column in COLUMNS.items():
            text = shown[row["name"]][column["label"]].strip("*").replace("−", "-")
            value = row["values"][name]
            if value is not None:
                expected = [value["mean"]] if value["sd"] is None else [value["mean"], value["sd"]]
                assert [f"{number:.{column['decimals']}f}" for number in expected] == text.split(" ± ")
                checked += 1
    assert checked == 7 * 7 - 1
    assert shown["real"]["PSNR"] == "–"


def test_best_model_of_a_column_is_bold_and_nothing_else(page: str, markdown: str) -> None:
    bold = {(row, column) for row, line in cells(markdown).items() for column, text in line.items() if "**" in text}
    assert bold == {
        ("cgan", "FD v1"), ("cgan", "e v1"), ("cgan", "accuracy"), ("cgan", "CF"), ("cgan", "ΔCF"),
        ("ae", "PSNR"), ("ae", "ΔE00"),
    }  # fmt: skip
    assert page.count("<strong>") == len(bold)


def test_rows_are_shown_by_their_kind(tmp_path: Path) -> None:
    record = quality_record()
    record["rows"].reverse()
    (tmp_path / "quality.json").write_text(json.dumps(record))
    shown = cells(make(tmp_path, tmp_path / "out")[1])
    assert [*shown] == [name for name, *_ in ROWS[:4]] + ["seed-ae", "cgan", "ae"]


def test_models_that_the_decimals_do_not_tell_apart_are_both_best(tmp_path: Path) -> None:
    record = quality_record()
    record["rows"][4]["values"]["psnr"] = {"mean": 26.111, "sd": None}
    record["rows"][5]["values"]["psnr"] = {"mean": 26.114, "sd": None}
    (tmp_path / "quality.json").write_text(json.dumps(record))
    shown = cells(make(tmp_path, tmp_path / "out")[1])
    assert [shown[row]["PSNR"] for row in ("ae", "cgan", "seed-ae")] == ["**26.11**", "**26.11**", "25.20"]


def test_column_without_values_is_a_dash_with_its_reason(page: str, markdown: str) -> None:
    assert all(line[c] == "–<sup>1</sup>" for line in cells(markdown).values() for c in ("FID", "KID", "LPIPS"))
    for reason in ("The weights of Inception were not found.", "The weights of AlexNet were not found."):
        assert f"<sup>1</sup> {reason}" in markdown
        assert f"<li>{reason}</li>" in page


def test_throughput_is_beside_the_seed_pipeline(page: str, markdown: str) -> None:
    table = markdown.partition("## Throughput")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    lines = {(row[0], row[1]): dict(zip(rows[0], row, strict=True)) for row in rows[2:]}
    assert lines["*seed pipeline*", "train"]["images/s"] == "2,346"
    assert lines["cgan", "train"]["images/s"] == "23,457"
    assert lines["cgan", "train"]["× seed"] == f"{23_456.7 / 2_345.6:.2f}"
    assert lines["seed-cgan", "train"]["images/s"] == "–"
    assert lines["seed-cgan", "train"]["peak memory"] == "–<sup>1</sup>"
    assert "<sup>1</sup> Does not fit in memory." in table
    assert "Measured peak of matrix products and convolutions: 610.0 TFLOP/s in bf16." in page


class Outline(HTMLParser):
    """Collects what a page consists of; elements must be closed in the order in which they were opened."""

    VOID = frozenset(("meta", "img", "br"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.headings: list[str] = []
        self.captions: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            assert value is not None
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "data"):
                self.references.append(value)
            self.references += re.findall(r"url\(([^)]*)\)", value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h2", "h3"):
            self.headings.append(data)
        if self.open and self.open[-1] == "figcaption":
            self.captions.append(data)
        if self.open and self.open[-1] == "style":
            assert "url(" not in data
            assert "@import" not in data


def test_page_is_whole_and_needs_nothing_else(page: str) -> None:
    outline = Outline(page)
    assert len(outline.ids) == len({*outline.ids})
    for reference in outline.references:
        assert reference.startswith(("#", "data:image/png;base64,"))
        assert not reference.startswith("#") or reference[1:] in outline.ids
    assert "<script" not in page


def test_page_shows_all_parts(page: str) -> None:
    outline = Outline(page)
    assert outline.headings == [
        "Quality on cifar10-jpeg", "Pictures", "At a glance", "All numbers", "Colours",
        "Training", "Throughput on NVIDIA H100 80GB HBM3", "Speed against quality", "Provenance",
    ]  # fmt: skip
    assert outline.captions[:2] == ["FD v1, lower is better", "CF, nearer to the real images is better"]
    assert {"validation/cf", "loss/reconstruction"} <= {*outline.captions}
    assert not {"validation/cf_truth", "validation/psnr", "lr/generator"} & {*outline.captions}
    assert page.count("<img ") == 7 * 2
    assert 'alt="cgan: ship"' in page
    assert "ae (3 runs), cgan (3 runs) and seed-ae on the 10,000 test images of cifar10-jpeg, 32 × 32 pixels" in page
    assert "commit 663bc84f0000+." in page  # shortened, with the + of files that differ


def test_seeds_of_a_model_share_its_color(page: str) -> None:
    legend = re.findall(r'<i style="background: (#\w+)"></i>([\w-]+)', page)
    assert [name for _, name in legend] == ["ae", "cgan"]
    assert len({color for color, _ in legend}) == 2
    bars = page.partition("FD v1 of")[2].partition("</svg>")[0]
    assert all(f"fill: {color}" in bars for color, _ in legend)


def test_parts_without_data_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "quality.json").write_text(json.dumps(quality_record()))
    page, _ = make(tmp_path, tmp_path / "out")
    assert Outline(page).headings == ["Quality on cifar10-jpeg", "At a glance", "All numbers", "Provenance"]

    write_run(tmp_path / "runs" / "ae-0", 13.0)
    page, _ = make(tmp_path / "runs", tmp_path / "out-2")
    assert Outline(page).headings == ["Training", "Provenance"]


def test_names_are_escaped(tmp_path: Path) -> None:
    name = '<b>&"$x$ *a* | `c` </svg>'
    record = quality_record()
    del record["rows"][1:4]
    record["rows"][2]["name"] = "runs/of-a-very-long-name/" * 6
    record["rows"][1]["name"] = record["columns"]["cf"]["about"] = record["pictures"]["labels"][0] = name
    record["device"] = record["data"]["name"] = name
    page, markdown = make(write_quality(tmp_path, record), tmp_path / "out")
    Outline(page)
    assert "<b>" not in page + markdown
    assert page.count("&lt;b&gt;") > 5
    assert '| &lt;b&gt;&amp;"$x$ \\*a\\* \\| \\`c\\` &lt;/svg&gt; |' in markdown


def test_two_results_of_a_kind_are_both_shown(tmp_path: Path) -> None:
    for folder, cf in (("first", 11.1), ("second", 22.2)):
        record = quality_record()
        record["rows"][4]["values"]["cf"]["mean"] = cf
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "quality.json").write_text(json.dumps(record))
        (tmp_path / folder / "throughput.json").write_text(json.dumps(throughput_record()))
    page, markdown = make(tmp_path, tmp_path / "out")
    headings = Outline(page).headings
    assert {"Quality on cifar10-jpeg (1)", "Quality on cifar10-jpeg (2)"} <= {*headings}
    assert headings.count("Throughput on NVIDIA H100 80GB HBM3") == 1  # a section a device, a table a file
    for text in ("11.1", "22.2", "first/quality.json", "second/quality.json", "second/throughput.json"):
        assert text in page
        assert text in markdown
    ids = Outline(page).ids
    assert len(ids) == len({*ids})


# Scores without near-duplicates


def test_scores_without_near_duplicates_have_a_table_of_their_own(tmp_path: Path) -> None:
    record = distinct_record()
    page, markdown = make(write_json(tmp_path / "results" / "quality.json", record), tmp_path / "out")
    heading = "Without the 347 images that have a near-duplicate among the training images"
    assert page.count(f"<h4>{heading}</h4>") == 1
    shown = table_after(markdown, heading)
    labels = {name: column["label"].replace("|", "\\|") for name, column in record["columns"].items()}
    notes = {name: "<sup>1</sup>" if column["reason"] else "" for name, column in record["columns"].items()}
    assert {*shown["ae"]} == {labels[name] + notes[name] for name in DISTINCT}
    assert {row: line["FD v1"] for row, line in shown.items()} == {
        "real": "0.000", "grey": "1.250", "ae": "0.725 ± 0.141", "cgan": "0.375",
    }  # fmt: skip
    assert shown["cgan"]["e"] == "0.300"
    assert table_after(markdown, "Distance between")["cgan"]["FD v1"] == "0.750"


def test_best_model_without_near_duplicates_is_another(tmp_path: Path) -> None:
    _, markdown = make(write_json(tmp_path / "results" / "quality.json", distinct_record()), tmp_path / "out")
    everything, distinct = markdown.split("### Without the 347")
    assert "**0.600 ± 0.141**" in everything
    assert "**0.750**" not in everything
    assert "**0.375**" in distinct
    assert "**0.725 ± 0.141**" not in distinct


def test_no_table_of_near_duplicates_without_scores(page: str, markdown: str) -> None:
    assert "near-duplicate" not in page + markdown


# The race


@pytest.fixture(scope="module")
def raced(race: Record, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("race")
    return make(write_json(root / "results" / "race.json", race), root / "out")


def test_race_shows_both_sides_and_their_ratio(race: Record, raced: tuple[str, str]) -> None:
    page, markdown = raced
    ratio = f"{race['median']['ratio']:.2f}"
    for text in raced:
        assert f"{ratio} times as long" in text
        assert "the median of 3 runs, of which 2 got there" in text
        assert "Both see the same grey" in text
    assert [heading for heading in Outline(page).headings if "seed project" in heading] == [
        f"Time to the seed project's result on {race['data']['name']}"
    ]
    assert re.findall(r"</i>([^<]*)</li>", page) == ["seed pipeline", "ours, from ae"]
    shown = table_after(markdown, "## Time to")
    assert [*shown] == ["seed pipeline", "ours, seed 0", "ours, seed 1", "ours, seed 2", "median of 3"]
    assert shown["median of 3"]["ratio"] == ratio
    assert shown["seed pipeline"]["MSE"] == "0.01000"
    assert [shown[f"ours, seed {seed}"]["MSE"] for seed in range(3)] == ["0.00900", "0.00800", "0.03000"]
    for run in race["runs"][:2]:
        line = shown[f"ours, seed {run['seed']}"]
        assert line["ratio"] == f"{run['ratio']:.2f}"
        assert float(line["seconds"].replace(",", "")) == pytest.approx(run["seconds"], rel=0.05)


def test_run_that_did_not_get_there_says_why(race: Record, raced: tuple[str, str]) -> None:
    page, markdown = raced
    line = table_after(markdown, "## Time to")["ours, seed 2"]
    assert (line["seconds"], line["ratio"]) == ("–<sup>1</sup>", "–")
    assert race["runs"][2]["reason"] == "The lowest MSE in 2 epochs was 0.03000."
    assert f"<li>{race['runs'][2]['reason']}</li>" in page


def test_median_of_seeds_has_its_range(race: Record, tmp_path: Path) -> None:
    runs = race["runs"][:2]
    median = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "ratio")}
    record = race | {"runs": runs, "median": median}
    _, markdown = make(write_json(tmp_path / "results" / "race.json", record), tmp_path / "out")
    low, high = sorted(f"{run['ratio']:.2f}" for run in runs)
    line = table_after(markdown, "## Time to")["median of 2 (lowest–highest)"]
    assert line["ratio"] == f"{median['ratio']:.2f} ({low}–{high})"


def test_race_without_a_median_claims_no_ratio(race: Record, tmp_path: Path) -> None:
    record = race | {"runs": race["runs"][2:], "median": {"seconds": None, "ratio": None}}
    page, markdown = make(write_json(tmp_path / "results" / "race.json", record), tmp_path / "out")
    assert "in 0 of 1 run: there is no median time and no ratio" in page
    assert "times as long" not in page
    assert table_after(markdown, "## Time to")["median of 1"]["ratio"] == "–"


def test_race_draws_every_evaluation_and_where_the_target_is_reached(race: Record, raced: tuple[str, str]) -> None:
    plots = re.findall(r'aria-label="MSE over [^"]*".*?</svg>', raced[0], re.DOTALL)
    assert len(plots) == 2  # over seconds, over images
    evaluations = len(race["seed_pipeline"]["curve"]) + sum(len(run["curve"]) for run in race["runs"])
    for drawing in plots:
        marks = re.findall(r"<use [^>]*fill: #[^>]*>", drawing)
        assert len(marks) == evaluations + 3  # the seed pipeline and two of ours get there
        assert "target 0.01000" in drawing


# The roofline and the largest batches


@pytest.fixture(scope="module")
def bounded(rooflines: Record, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("rooflines")
    return make(write_json(root / "results" / "rooflines.json", rooflines), root / "out")


def test_least_times_add_up_to_their_total(rooflines: Record, bounded: tuple[str, str]) -> None:
    page, markdown = bounded
    Outline(page)
    assert "<h4>Least time of a step</h4>" in page
    shown = table_after(markdown, "#### Least time of a step")
    assert [*shown][: len(GROUPS)] == [*GROUPS]
    for row, case in zip(rooflines["rooflines"], ("ae, 4, fp32", "seed-cgan, 4, fp32"), strict=True):
        column = {name: line[case] for name, line in shown.items()}
        total = float(column["least time together"])
        rounding = 0.5 * 10 ** -len(column["least time together"].partition(".")[2])
        assert sum(float(column[group]) for group in GROUPS) == pytest.approx(total, abs=5 * rounding)
        assert total == pytest.approx(1000 * row["seconds"], abs=1.01 * rounding)
        step = float(column["measured step"].replace(",", ""))
        assert step == pytest.approx(1000 * 4 / row["measured_images_per_second"], rel=0.001)
        assert column["least time ÷ measured step"] == f"{100 * row['share_of_bound']:.1f} %"
        assert total / step == pytest.approx(row["share_of_bound"], rel=0.01)


def test_step_that_was_not_measured_has_no_share(rooflines: Record, tmp_path: Path) -> None:
    unknown = dict.fromkeys(("measured_images_per_second", "share_of_bound", "input_seconds", "input_share"))
    record = rooflines | {"rooflines": [rooflines["rooflines"][0] | unknown]}
    _, markdown = make(write_json(tmp_path / "results" / "rooflines.json", record), tmp_path / "out")
    shown = table_after(markdown, "#### Least time of a step")
    assert [line["ae, 4, fp32"] for line in shown.values()][-3:] == ["–", "–", "–"]


def test_largest_batches_are_shown(bounded: tuple[str, str]) -> None:
    shown = table_after(bounded[1], "#### Largest batches")
    assert [*shown] == ["ae", "seed-cgan"]
    expected = {"largest batch": "96", "peak memory": "0.25 GiB", "memory limit": "0.50 GiB", "steps of": "32"}
    assert shown["ae"].items() >= expected.items()
    assert "<h4>Largest batches</h4>" in bounded[0]


def test_no_roofline_and_no_largest_batch_without_them(page: str, markdown: str) -> None:
    assert "Least time" not in page + markdown
    assert "Largest batches" not in page + markdown


def test_files_of_a_device_share_a_point_a_model(tmp_path: Path) -> None:
    """Each preset may have been timed by itself, as benchmarks/gpu.sh does."""
    write_quality(tmp_path / "results", quality_record())
    for preset in ("ae", "cgan"):
        record = throughput_record()
        record["rows"] = [row for row in record["rows"] if row["preset"] == preset]
        (tmp_path / "results" / f"{preset}.json").write_text(json.dumps(record))
    page, _ = make(tmp_path / "results", tmp_path / "out")
    (drawing,) = re.findall(r'aria-label="FD v1 on cifar10-jpeg, speed on.*?</svg>', page, re.DOTALL)
    assert re.findall(r">(ae|cgan|seed-ae)</text>", drawing) == ["ae", "cgan"]


# What is refused


def test_existing_output_is_left_as_it_is(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("report.html", "report.md"):
        out = tmp_path / name.replace(".", "-")
        out.mkdir()
        (out / name).write_text("mine")
        assert f"already holds a {name}" in refused(results, out, capsys)
        assert [path.name for path in out.iterdir()] == [name]
        assert (out / name).read_text() == "mine"


def test_out_that_is_a_file(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert "is a file: choose a folder" in refused(results, tmp_path / "file", capsys)


def test_folder_without_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text("{}")
    assert f"{tmp_path} holds no results" in refused(tmp_path, tmp_path / "out", capsys)
    assert f"{tmp_path / 'nowhere'} does not exist" in refused(tmp_path / "nowhere", tmp_path / "out", capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("quality.json", "{", "quality.json is damaged"),
        ("quality.json", '{"kind": "quality", "rows": []}', "lacks data, columns"),
        ("throughput.json", '{"kind": "throughput", "device": "cpu", "rows": [{"preset": "ae"}]}', "lacks mode"),
        ("throughput.json", '{"kind": "throughput", "device": "cpu", "rows": [], "rooflines": [{}]}', "batch_size"),
        ("speedrun.json", '{"kind": "speedrun", "device": "cpu"}', "lacks data, target"),
        ("quality.safetensors", "{", "quality.safetensors is damaged"),
        ("run/metrics.jsonl", '{"step": 1}\n{\n{"step": 3}\n', "metrics.jsonl is damaged in line 2"),
        ("run/config.json", "[]", "lacks batch_size"),
    ],
)
def test_damaged_files_are_named(
    file: str, content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_quality(tmp_path, quality_record())
    write_run(tmp_path / "run", 13.0)
    (tmp_path / file).write_text(content)
    sentence = refused(tmp_path, tmp_path / "out", capsys)
    assert str(tmp_path / file) in sentence
    assert words in sentence
    assert not (tmp_path / "out").exists()


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


def test_options_are_checked_without_torch() -> None:
    code = "import sys, benchmarks.report; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
