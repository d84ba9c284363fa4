"""README and benchmark tables say what the committed results and the program say."""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ablation import AblationConfig
from benchmarks.ablation_table import format_table
from benchmarks.evaluator import EvaluatorConfig
from benchmarks.growth import GrowthConfig
from benchmarks.growth_report import format_tables as format_growth
from benchmarks.quality import QualityConfig
from benchmarks.release import ReleaseConfig
from benchmarks.report import ReportConfig
from benchmarks.scaling import ScalingConfig
from benchmarks.speedrun import SpeedrunConfig
from benchmarks.throughput import ThroughputConfig
from benchmarks.validate import ValidateConfig
from colornet.colorize import ColorizeConfig
from colornet.config import PRESETS, TrainConfig
from colornet.demo import DemoConfig
from colornet.evaluate import EvaluateConfig
from colornet.export import ExportConfig
from colornet.features import evaluator_card

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ("clusters", "demo", "export", "performance", "protocol", "reliability", "scaling")
PAGES = {
    page: (ROOT / page).read_text(encoding="utf-8")
    for page in ("README.md", "benchmarks/README.md", *(f"docs/{name}.md" for name in DOCS))
}

# Column heading: key of a row in the results of `colornet evaluate`, digits. `benchmarks quality` names its own.
COLUMNS = {
    "PSNR (dB)": ("psnr", 2),
    "PSNR": ("psnr", 2),
    "PSNR pooled": ("psnr_pooled", 2),
    "SSIM": ("ssim", 4),
    "L1": ("l1", 4),
    "CIEDE2000": ("ciede2000", 2),
    "ΔE00": ("ciede2000", 2),
    "colourfulness CF": ("cf", 1),
    "CF": ("cf", 1),
    "ΔCF": ("delta_cf", 1),
    "mean |ΔCF|": ("delta_cf_image", 1),
}


def cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def shown(values: list[float], digits: int) -> str:
    mean = f"{round(statistics.mean(values), digits) + 0.0:.{digits}f}".replace("-", "−")
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def expected_cells(record: dict[str, Any], label: str, headings: list[str]) -> list[str]:
    """Say what a row of a table must show of the results."""
    if record.get("kind") == "quality":
        columns = {column["label"]: (name, column["decimals"]) for name, column in record["columns"].items()}
        (row,) = (row for row in record["rows"] if row["name"].casefold() == label.casefold())
        values = [row["values"][columns[heading][0]] for heading in headings]
        return ["–" if v is None else shown(v["members"], columns[h][1]) for h, v in zip(headings, values, strict=True)]
    pattern = re.compile(rf"{re.escape(label)}(-\d+)?", re.IGNORECASE)  # a row, or one a seed
    group = [row for key, row in record["rows"].items() if pattern.fullmatch(key)]
    return [shown([row[COLUMNS[h][0]] for row in group], COLUMNS[h][1]) for h in headings]


def result_tables() -> list[tuple[str, str, list[str]]]:
    """List (page, results file named nearest in the text, lines) of every table of results."""
    found = []
    for page, text in PAGES.items():
        for match in re.finditer(r"(?:^\|.*\n)+", text, re.MULTILINE):
            lines = match.group().splitlines()
            if {"CF", "colourfulness CF"} & set(cells(lines[0])):
                names = [(abs(m.start() - match.start()), m[1]) for m in re.finditer(r"results/([\w-]+\.json)", text)]
                found.append((page, min(names)[1], lines))
    return found


@pytest.mark.parametrize(("page", "name", "lines"), result_tables())
def test_tables_are_those_of_the_committed_results(page: str, name: str, lines: list[str]) -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / name).read_text())
    if record.get("kind") == "ablation":
        assert lines == format_table(record).splitlines(), page
        return
    headings = cells(lines[0])[1:]
    checked = 0
    for line in lines[2:]:
        label, *values = cells(line)
        if label == "truth":
            assert [value for value in values if value] == [f"{record['rows']['grey']['cf_truth']:.1f}"]
            continue
        assert values == expected_cells(record, label, headings), f"{page}: {label}"
        checked += 1
    assert checked >= 3


def test_evaluators_are_shown_as_they_were_validated() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "cifar10-jpeg-evaluators.json").read_text())
    evaluators = record["evaluators"]
    table = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGES["docs/protocol.md"], re.MULTILINE)
    assert len(table) == 7
    for row, *values in table:
        assert values == [f"{evaluators[name]['rows'][row]:.3f}" for name in ("v1", "dev")]
    for name in ("v1", "dev"):
        assert evaluators[name]["card"]["sha256"] == evaluator_card(name)["sha256"]


def test_results_say_where_they_come_from() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        record = json.loads(path.read_text())
        assert {"command", "commit", "versions", "device", "data", "date"} <= record.keys(), path.name
        assert record["commit"]
        assert not record["commit"].endswith("+")
        rows = record["rows"] if record.get("kind") == "quality" else []
        if rows:
            assert record["evaluators"]["cifar10_v1"]["sha256"] == evaluator_card("v1")["sha256"], path.name
        runs = [run for row in rows for run in row["runs"].values()] or list(record.get("runs", {}).values())
        assert runs or record["kind"] in (
            "throughput",
            "speedrun",
            "scaling",
            "growth",
            "evaluator-validation",
            "reliability",
        )
        for run in runs:
            assert all(start["commit"] for start in run["training"])


def test_growth_is_shown_as_it_was_measured() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*growth.json"):
        tables = [line for line in format_growth(json.loads(path.read_text())).splitlines() if line.startswith("|")]
        assert set(tables) <= set(PAGES["benchmarks/README.md"].splitlines()), path.name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", PAGES[page])
    assert all(((ROOT / page).parent / target).exists() for target in targets), targets


@pytest.mark.parametrize("page", PAGES)
def test_options_exist(page: str) -> None:
    configs = (
        TrainConfig,
        EvaluateConfig,
        ColorizeConfig,
        ExportConfig,
        DemoConfig,
        QualityConfig,
        ThroughputConfig,
        SpeedrunConfig,
        ScalingConfig,
        GrowthConfig,
        ReportConfig,
        EvaluatorConfig,
        ValidateConfig,
        AblationConfig,
        ReleaseConfig,
    )
    fields = [field.name for config in configs for field in dataclasses.fields(config)]
    known = {f"--{name.replace('_', '-')}" for name in fields} | {"--help", "--logdir", "--no-open"}
    launcher = {"--config_file", "--num_processes", "--num_machines", "--main_process_ip", "--machine_rank",
                "--main_process_port", "--max-restarts", "--nnodes", "--nproc-per-node", "--rdzv-backend",
                "--rdzv-endpoint", "--rdzv-id", "--local-addr", "--nodes", "--gpus-per-node", "--events", "--kills",
                "--signal"}  # fmt: skip
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", PAGES[page])) <= known | launcher


def test_preset_table_is_complete() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \|", README, re.MULTILINE)) >= PRESETS.keys()


def test_launch_files_exist() -> None:
    files = set(re.findall(r"launch/accelerate/\w+\.yaml", README))
    assert files == {path.relative_to(ROOT).as_posix() for path in (ROOT / "launch/accelerate").glob("*.yaml")}
