"""Results as the suite writes them, with numbers as they may be, and what reads a report of them."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.__main__ import main
from colornet.config import TrainConfig

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
        ("fd_cifar10_v2", "FD v2", 3, "lower", None),
        ("e_cifar10_v2", "e v2", 3, "lower", None),
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
    ("gray", "floor", 0, (0.215, 1.0, 0.816, 0.1, -30.5, 25.49, 10.46)),
    ("oracle, mean ab", "oracle", 0, (0.081, 0.377, 0.862, 9.9, -20.7, 29.40, 6.60)),
    ("sanity check, gradient", "sanity_check", 0, (0.452, 2.102, 0.701, 30.6, 0.0, 21.30, 14.20)),
    ("ae", "model", 3, (0.0791, 0.368, 0.852, 13.4, -17.2, 26.11, 9.17)),
    ("cgan", "model", 3, (0.0463, 0.215, 0.861, 24.8, -5.8, 24.01, 11.18)),
    ("notebook-ae", "model", 1, (0.0912, 0.424, 0.829, 11.8, -18.8, 25.20, 9.61)),
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
    for preset, speed in (("ae", 41_000.0), ("cgan", 23_456.7), ("notebook-ae", 30_100.0), ("notebook-cgan", None)):
        for mode, factor in (("train", 1.0), ("inference", 3.3)):
            row = {"preset": preset, "mode": mode, "batch_size": 256, "precision": "bf16", "compile": True, "width": 64}
            row |= {"parameters": 12_300_000, "tf32": None, "images_per_second": speed and speed * factor}
            row |= {
                "reason": None if speed else "Does not fit in memory.",
                "ratio_to_notebook": speed and speed / 2_345.6,
            }
            row |= {"step_ms": speed and {"median": 256e3 / speed, "p10": 250e3 / speed, "p90": 270e3 / speed}}
            row |= {"achieved_flops": speed and 1.9e14, "mfu": speed and 0.31, "compile_seconds": speed and 61.2}
            rows.append(row | {"peak_memory_bytes": speed and 3.1e9})
    seed = {"images_per_second": 2_345.6, "batch_size": 64, "precision": "no"}
    return {"kind": "throughput", **ORIGIN, "peak": {"bf16": 6.1e14}, "notebook_pipeline": seed, "rows": rows}


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
    (folder / "quality.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def write_run(folder: Path, final_cf: float) -> None:
    """Write the configuration and the curves of a run, first evaluated where it stopped: its epochs may be longer."""
    write_json(folder / "config.json", dataclasses.asdict(TrainConfig(max_steps=500)))
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
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 40')  # a run in progress


def make(results: Path, out: Path) -> tuple[str, str]:
    """Run the command; return the page and the Markdown."""
    main(["report", str(results), "--out", str(out)])
    return (out / "report.html").read_text("utf-8"), (out / "report.md").read_text("utf-8")


def refused(results: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command, which must end with exit code 2 and a sentence; return the sentence."""
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(results), "--out", str(out)])
    (sentence,) = capsys.readouterr().err.splitlines()
    return sentence


def table_after(markdown: str, heading: str) -> dict[str, dict[str, str]]:
    """Read the first table after a heading: row, heading, cell, without what makes them bold or italic."""
    table = re.search(r"(?:^\|.*\n)+", markdown.partition(heading)[2], re.MULTILINE)
    assert table is not None, f"no table after {heading}"
    split = (re.split(r"(?<!\\)\|", line)[1:-1] for line in table[0].splitlines())
    heads, _, *lines = ([cell.strip(" *") for cell in line] for line in split)
    return {line[0]: dict(zip(heads[1:], line[1:], strict=True)) for line in lines}


def write_json(path: Path, record: Any) -> Path:
    """Write a record into a new folder; return the folder."""
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path.parent


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
