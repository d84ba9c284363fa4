"""README and benchmark tables say what the committed results and the program say."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ablation.options import AblationOptions
from benchmarks.ablation.tables import format_table
from benchmarks.core.record import modernized
from benchmarks.core.tables import table_markdown
from benchmarks.evaluator.options import EvaluatorOptions
from benchmarks.evaluator.validate_options import ValidateOptions
from benchmarks.growth.options import GrowthOptions
from benchmarks.growth.report import format_tables as format_growth
from benchmarks.inference.options import InferenceOptions
from benchmarks.photos.options import PhotosOptions
from benchmarks.photos.report import format_tables as format_photo_tables
from benchmarks.quality.diversity import format_diversity
from benchmarks.quality.options import QualityOptions
from benchmarks.quality.report.sepia import cast_table
from benchmarks.release.options import ReleaseOptions
from benchmarks.report import ReportOptions
from benchmarks.scaling.legacy_report import format_tables
from benchmarks.scaling.options import ScalingOptions
from benchmarks.speedrun.options import SpeedrunOptions
from benchmarks.speedrun.report import speedrun_table
from benchmarks.throughput.options import ThroughputOptions
from benchmarks.throughput.options import format_table as format_throughput
from colornet.colorize import ColorizeConfig
from colornet.config import TrainConfig
from colornet.demo import DemoConfig
from colornet.evaluate import EvaluateConfig
from colornet.export import ExportConfig
from colornet.metrics.features import evaluator_card
from colornet.presets import PRESETS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
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
    "colorfulness CF": ("cf", 1),
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
            if {"CF", "colorfulness CF"} & set(cells(lines[0])):
                names = [(abs(m.start() - match.start()), m[1]) for m in re.finditer(r"results/([\w-]+\.json)", text)]
                found.append((page, min(names)[1], lines))
    return found


@pytest.mark.parametrize(("page", "name", "lines"), result_tables())
def test_tables_are_those_of_the_committed_results(page: str, name: str, lines: list[str]) -> None:
    record = modernized(json.loads((ROOT / "benchmarks" / "results" / name).read_text()))
    if record.get("kind") == "ablation":
        assert lines == format_table(record).splitlines(), page
        return
    headings = cells(lines[0])[1:]
    checked = 0
    for line in lines[2:]:
        label, *values = cells(line)
        if label == "truth":
            assert [value for value in values if value] == [f"{record['rows']['gray']['cf_truth']:.1f}"]
            continue
        assert values == expected_cells(record, label, headings), f"{page}: {label}"
        checked += 1
    assert checked >= 3


def test_casts_and_colorings_are_shown_as_they_were_measured() -> None:
    record = modernized(
        json.loads((ROOT / "benchmarks/results/cifar10-jpeg-cpu-quality.json").read_text(encoding="utf-8"))
    )
    cast = cast_table(record)
    assert cast is not None
    assert table_markdown(cast) in PAGES["benchmarks/README.md"]
    assert epochs_table(record) in PAGES["docs/recipes.md"]
    longer = json.loads(
        (ROOT / "benchmarks/results/cifar10-jpeg-cpu-quality-six-epochs.json").read_text(encoding="utf-8")
    )
    for rows in (record["rows"], longer["rows"]):
        for part in format_diversity(rows):
            assert part in PAGES["benchmarks/README.md"]


def test_curves_part_by_as_much_as_is_said() -> None:
    record = modernized(
        json.loads((ROOT / "benchmarks/results/cifar10-jpeg-cpu-precision.json").read_text(encoding="utf-8"))
    )

    def apart(one: str, *others: str) -> float:
        base, *curves = (record["runs"][run]["curve"]["loss/reconstruction"] for run in (one, *others))
        return max(100 * abs(a - b) / a for curve in curves for a, b in zip(base, curve, strict=True))

    ae = max(apart("ae-fp32-0", "ae-bf16-0", "ae-bf16-compiled-0"), apart("ae-fp32-1", "ae-bf16-1"))
    orders, cgan = apart("ae-fp32-0", "ae-fp32-1"), apart("cgan-fp32-0", "cgan-bf16-0", "cgan-bf16-compiled-0")
    text = " ".join(PAGES["docs/performance.md"].split())
    assert f"differs by {ae:.1f} % at most at any point, between two orders of the images by {orders:.1f} %" in text
    assert f"part by up to {cgan:.1f} %" in text


def epochs_table(record: dict[str, Any]) -> str:
    """Lay out how the validation of the released models went, every fourth epoch and at the end."""
    (ae,), (cgan,) = (row["runs"].values() for row in record["rows"] if row["name"] in ("ae-released", "cgan-released"))
    lines = [
        "| epochs | FD dev, AE | CF, AE | PSNR, AE | FD dev, cGAN | CF, cGAN | PSNR, cGAN |",
        "| ---: |" + " ---: |" * 6,
    ]
    last = ae["validation"][-1]["images"]
    for points in zip(ae["validation"], cgan["validation"], strict=True):
        assert points[0]["images"] == points[1]["images"]
        epochs = round(points[0]["images"] / last * ae["config"]["epochs"])
        if epochs in (2, 4, 8, 12, 16, 20, ae["config"]["epochs"]):
            values = [f"{p['fd_cifar10_dev']:.3f} | {p['cf']:.1f} | {p['psnr']:.2f}" for p in points]
            lines.append(f"| {epochs} | {' | '.join(values)} |")
    return "\n".join(lines)


def digits(value: float, unit: float = 1) -> str:
    value /= unit
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def throughput_cells(row: dict[str, Any], headings: list[str]) -> list[str]:
    """Say what the row of a table must show of a row of `throughput`."""
    step, memory, ratio = row["step_ms"], row.get("peak_memory_bytes"), row.get("ratio_to_notebook")
    shown_as = {
        "preset": row["preset"],
        "mode": row["mode"],
        "precision": "fp32" if row["precision"] == "no" else row["precision"],
        "images/s": digits(row["images_per_second"]),
        "step, ms (p10–p90)": f"{digits(step['median'])} ({digits(step['p10'])}–{digits(step['p90'])})",
        "share of the matrix peak": f"{100 * row['mfu']:.1f} %",  # before convolutions were part of the peak
        "share of the measured peak": f"{100 * row['mfu']:.1f} %",
        "memory, MiB": digits(memory, 2**20) if memory else "–",
        "× notebook pipeline": f"{ratio:.2f}" if ratio else "–",
    }
    return [shown_as[heading] for heading in headings]


def test_speed_is_shown_as_it_was_measured() -> None:
    record = modernized(json.loads((ROOT / "benchmarks" / "results" / "cifar10-jpeg-cpu-throughput.json").read_text()))
    seed = {**record["notebook_pipeline"], "preset": "notebook pipeline", "mode": "train", "ratio_to_notebook": 1.0}
    text = PAGES["benchmarks/README.md"]
    lines = itertools.takewhile(lambda line: line.startswith("|"), text[text.index("| preset | mode") :].splitlines())
    heading, _, *rows = map(cells, lines)
    assert rows == [throughput_cells(row, heading) for row in [seed, *record["rows"]]]


def test_inference_is_shown_as_it_was_measured() -> None:
    record = modernized(
        json.loads((ROOT / "benchmarks/results/cifar10-jpeg-cpu-inference.json").read_text(encoding="utf-8"))
    )
    for row in record["rows"]:
        precision = "fp32" if row["precision"] == "no" else row["precision"]
        speed = f"{row['images_per_second']['median']:,.0f} | {row['ratio_to_loop']:.2f}"
        assert f"| {row['way']} | {precision} | {row['batch_size']} | {speed} |" in PAGES["benchmarks/README.md"]


def test_photographs_are_shown_as_they_were_measured() -> None:
    record = modernized(
        json.loads((ROOT / "benchmarks/results/cifar10-jpeg-cpu-photos.json").read_text(encoding="utf-8"))
    )
    for table in format_photo_tables(record).values():
        assert table in PAGES["benchmarks/README.md"]
    peaks = {round(one["megapixels"]): one["peak_memory_bytes"] / 2**30 for one in record["memory"]}
    text = " ".join(PAGES["docs/questions.md"].split())
    assert f"of 12 megapixels peaks at {peaks[12]:.1f} GiB, one of 50 at {peaks[50]:.1f} GiB" in text
    moved = {model: rows["gamma 0.8"]["moved_photos"] for model, rows in record["scans"].items()}
    assert f"({moved['cgan']:.1f} for a gamma of 0.8; {moved['ae']:.1f} for `ae`)" in text
    assert f"({record['scans']['cgan']['noise σ 5']['moved_photos']:.1f} ΔE00 for the cGAN" in text


def test_evaluators_are_shown_as_they_were_validated() -> None:
    record = modernized(json.loads((ROOT / "benchmarks" / "results" / "cifar10-jpeg-evaluators.json").read_text()))
    evaluators = record["evaluators"]
    table = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGES["docs/protocol.md"], re.MULTILINE)
    assert len(table) == 7
    for row, *values in table:
        assert values == [f"{evaluators[name]['rows'][row]:.3f}" for name in ("v1", "dev")]
    for name in ("v1", "dev"):
        assert evaluators[name]["card"]["sha256"] == evaluator_card(name)["sha256"]


def test_what_gray_tells_is_shown_as_it_was_measured() -> None:
    record = modernized(
        json.loads((ROOT / "benchmarks/results/cifar10-jpeg-cpu-ceiling.json").read_text(encoding="utf-8"))
    )
    for part, errors in record["splits"].items():
        off = f"{errors['delta_cf_image_median']:.2f} | {errors['delta_cf_image']:.2f}"
        assert f"\n| {part} | {off} | {100 * errors['accuracy']:.1f} |\n" in PAGES["docs/protocol.md"]


def test_kills_are_shown_as_they_were_counted() -> None:
    runs = modernized(json.loads((ROOT / "benchmarks" / "results" / "reliability-kills.json").read_text()))["runs"]
    for run in runs.values():
        phases = [run["killed_during"].get(phase, 0) for phase in ("step", "evaluation", "checkpoint", "between")]
        values = [run["processes"], run["kills"], *phases, run["runs"], run["bit_identical"]]
        assert f"| {' | '.join(map(str, values))} |" in PAGES["docs/reliability.md"]


def test_machines_are_shown_as_they_ended() -> None:
    shown = re.findall(r"^\| \d+ \| (?:accelerate|torchrun) \|.*$", PAGES["docs/reliability.md"], re.MULTILINE)
    ended = []
    for path in (ROOT / "benchmarks" / "results").glob("reliability-machines-*.json"):
        record = modernized(json.loads(path.read_text()))
        for run in record["runs"].values():
            first = run["starts"][0]
            values = [record["machines"], run["launcher"], run["event"], record["tcp_retries"]]
            values += [round(max(first["seconds"])), ", ".join(map(str, first["codes"])), len(run["starts"])]
            ended.append(f"| {' | '.join(map(str, values))} | {'equal' if run['bit_identical'] else 'different'} |")
    assert sorted(shown) == sorted(ended)


def test_scaling_is_shown_as_it_was_measured() -> None:
    results = {
        path.stem: modernized(json.loads(path.read_text()))
        for path in (ROOT / "benchmarks" / "results").glob("scaling-*")
    }
    for name, record in results.items():
        table = format_tables(record).split("\n\n")[0]
        assert (table in PAGES["benchmarks/README.md"]) == (name != "scaling-ethernet"), name
    pattern = r"^\| (ae|cgan) \| (here|Ethernet) \| (\d+) \| (.+) \| (.+) \|$"
    shown = re.findall(pattern, PAGES["docs/scaling.md"], re.MULTILINE)
    assert bool(shown) == bool(results)
    for preset, link, processes, *values in shown:
        record = results[{"here": "scaling-cpu", "Ethernet": "scaling-ethernet"}[link]]
        (model,) = (model for model in record["models"] if model["preset"] == preset)
        (row,) = (row for row in model["images_for_90_percent"] if row["processes"] == int(processes))
        assert values == ["none" if row[end] is None else f"{row[end]:,}" for end in ("high", "low")]


def test_races_and_profiles_are_shown_as_they_were_measured() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        record = modernized(json.loads(path.read_text()))
        if record.get("kind") == "speedrun":
            assert table_markdown(speedrun_table(record)) in PAGES["benchmarks/README.md"], path.name
        elif record.get("kind") == "throughput" and record["options"].get("notebook_width"):
            assert format_throughput(record).split("\n\n")[1] in PAGES["docs/performance.md"], path.name
        elif record.get("kind") == "profile":
            assert profile_table(record) in PAGES["docs/performance.md"], path.name


def profile_table(record: dict[str, Any]) -> str:
    """Lay out the ten most expensive operations of a profile."""
    rows = [
        f"| `{row['name']}` | {row['ms_per_step']:.1f} | {row['share']:.1%} | {row['calls_per_step']:.0f} |"
        for row in record["operations"][:10]
    ]
    return "\n".join(
        [f"| {record['unit']} | ms a step | share | calls a step |", "| --- | ---: | ---: | ---: |", *rows]
    )


def test_results_say_where_they_come_from() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        record = modernized(json.loads(path.read_text()))
        assert {"command", "commit", "versions", "device", "data", "date"} <= record.keys(), path.name
        assert record["commit"]
        assert not record["commit"].endswith("+")
        rows = record["rows"] if record.get("kind") == "quality" else []
        if rows:
            assert record["evaluators"]["cifar10_v1"]["sha256"] == evaluator_card("v1")["sha256"], path.name
        # A race has runs of its own, and what measures the program or the machine has none.
        own = {} if record.get("kind") == "speedrun" else record.get("runs", {})
        runs = [run for row in rows for run in row["runs"].values()] or list(own.values())
        assert runs or record["kind"] in (
            "throughput",
            "speedrun",
            "profile",
            "scaling",
            "evaluator-validation",
            "ceiling",
            "reliability",
            "photos",
            "inference",
            "growth",
        )
        for run in runs:
            assert all(start["commit"] for start in run["training"])


def test_growth_is_shown_as_it_was_measured() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*growth.json"):
        tables = [
            line
            for line in format_growth(modernized(json.loads(path.read_text()))).splitlines()
            if line.startswith("|")
        ]
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
        QualityOptions,
        PhotosOptions,
        ThroughputOptions,
        InferenceOptions,
        SpeedrunOptions,
        ScalingOptions,
        GrowthOptions,
        ReportOptions,
        EvaluatorOptions,
        ValidateOptions,
        AblationOptions,
        ReleaseOptions,
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
