"""README and documents say what the committed results and the program say, and their links lead somewhere."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from benchmarks.__main__ import COMMANDS
from benchmarks.core.command import options_class
from benchmarks.core.record import Record, read_json
from benchmarks.report.documents import regenerated
from colornet.colorize import ColorizeConfig
from colornet.config import PRESETS, TrainConfig
from colornet.demo import DemoConfig
from colornet.evaluate import EvaluateConfig
from colornet.export import ExportConfig
from colornet.fetch import FetchConfig
from colornet.metrics.evaluator import evaluator_card
from colornet.push import PushConfig

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in (
        ROOT / "README.md",
        ROOT / "SECURITY.md",
        ROOT / "benchmarks/README.md",
        *sorted(ROOT.glob("docs/*.md")),
    )
}


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_those_of_the_committed_results(page: str) -> None:
    assert regenerated(PAGES[page], RESULTS) == PAGES[page], "outdated: run `python -m benchmarks tables`"


@pytest.mark.parametrize("page", PAGES)
def test_tables_of_numbers_are_generated(page: str) -> None:
    """Numbers are aligned right, and no other table is written by hand so."""
    by_hand = re.sub(r"<!-- table: .*?<!-- end -->", "", PAGES[page], flags=re.DOTALL)
    assert re.findall(r"^\|.*\n\|[ :|-]*--:.*$", by_hand, re.MULTILINE) == []


# Numbers in sentences


def result(name: str) -> Record:
    return dict(read_json(RESULTS / f"cifar10-jpeg-cpu-{name}.json"))


def test_curves_part_by_as_much_as_is_said() -> None:
    runs = result("precision")["runs"]

    def apart(one: str, *others: str) -> float:
        base, *curves = (runs[run]["curve"]["loss/reconstruction"] for run in (one, *others))
        return max(100 * abs(a - b) / a for curve in curves for a, b in zip(base, curve, strict=True))

    ae = max(apart("ae-fp32-0", "ae-bf16-0", "ae-bf16-compiled-0"), apart("ae-fp32-1", "ae-bf16-1"))
    orders, cgan = apart("ae-fp32-0", "ae-fp32-1"), apart("cgan-fp32-0", "cgan-bf16-0", "cgan-bf16-compiled-0")
    said = {*re.findall(r"\d+\.\d %", " ".join(PAGES["docs/performance.md"].split()))}
    assert {f"{percent:.1f} %" for percent in (ae, orders, cgan)} <= said


def test_photographs_take_the_time_and_memory_and_move_as_is_said() -> None:
    record = result("photos")
    (seconds,) = (one["seconds"] for one in record["memory"] if round(one["megapixels"]) == 12)
    assert f"A 12-megapixel photograph takes [{seconds:.0f} seconds](" in " ".join(PAGES["README.md"].split())
    assert record["device"] == "cpu, 1 threads"
    peaks = {round(one["megapixels"]): f"{one['peak_memory_bytes'] / 2**30:.1f} GiB" for one in record["memory"]}
    moved = {model: f"{rows['gamma 0.8']['moved_photos']:.1f}" for model, rows in record["scans"].items()}
    noise = f"{record['scans']['cgan']['noise σ 5']['moved_photos']:.1f} ΔE00"
    text = " ".join(PAGES["docs/colorize.md"].split())
    for number in (peaks[12], peaks[50], moved["ae"], moved["cgan"], noise):
        assert re.search(rf"(?<![\d.]){re.escape(number)}", text), number


# Results


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_say_where_they_come_from(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    assert {"command", "commit", "versions", "device", "data", "date"} <= record.keys()
    assert record["commit"]
    assert not record["commit"].endswith("+")
    # Only these were trained for the result; a comparison by `colornet evaluate` has no kind.
    if record.get("kind") == "quality":
        runs = [run for row in record["rows"] for run in row["runs"].values()]
    else:
        runs = [*record["runs"].values()] if record.get("kind") in (None, "ablation", "reliability", "machines") else []
    assert runs or record["kind"] not in ("quality", "ablation", "reliability", "machines")
    assert all(start["commit"] for run in runs for start in run["training"])


# Evaluators of earlier versions, which older results keep: their statistics came from batches of one class.
FORMER = {
    "cifar10_v1": "1049c59f8fbb63d58243b5c73b4b066ffc28a92d994a8c306e6fe5f3b4514937",
    "v1": "1049c59f8fbb63d58243b5c73b4b066ffc28a92d994a8c306e6fe5f3b4514937",
    "dev": "b38f0242235eec800724c18792c1a6e85a6996e86b70f9b1e44c3b92686158d5",
}


def test_results_say_which_evaluators_measured_them() -> None:
    known = FORMER | {name: evaluator_card(name)["sha256"] for name in ("v2", "v2-dev")}
    known["cifar10_v2"] = known["v2"]
    for path in RESULTS.glob("*quality*.json"):
        evaluators = json.loads(path.read_text(encoding="utf-8"))["evaluators"]
        assert {name: found["sha256"] for name, found in evaluators.items()}.items() <= known.items()
    for path in RESULTS.glob("*-evaluators*.json"):
        evaluators = json.loads(path.read_text(encoding="utf-8"))["evaluators"]
        shipped = {name: found["card"]["sha256"] for name, found in evaluators.items() if "," not in name}
        assert shipped.items() <= known.items()


# Names of files, links and options


def test_nothing_installs_the_package_of_that_name_on_pypi() -> None:
    """`colornet` on PyPI is not this project, which is called colornet-cifar and installed from a checkout."""
    folders = ("colornet", "benchmarks", "docs", "launch", "tests", ".ci", ".github")
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    texts = {path: path.read_bytes().decode(errors="ignore") for path in files if "__pycache__" not in path.parts}
    wrong = re.compile(r"pip3? install (?:-\S+ )*[\"']?colornet(?!-cifar)")
    assert [path.relative_to(ROOT).as_posix() for path, text in texts.items() if wrong.search(text)] == []


def anchors(page: str) -> set[str]:
    """List the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    headings = [heading.strip().lower() for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)", PAGES[page]):
        path = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.relative_to(ROOT).as_posix()), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_files_exist_that_are_named(page: str) -> None:
    files = re.findall(r"(?<![\w/.-])(?:tests|benchmarks|launch|colornet|docs)/[\w./-]+\.\w+", PAGES[page])
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_options_exist(page: str) -> None:
    configs = [TrainConfig, EvaluateConfig, ColorizeConfig, ExportConfig, FetchConfig, PushConfig, DemoConfig]
    configs += [options_class(name, command) for name, command in COMMANDS.items()]
    fields = [field.name for config in configs for field in dataclasses.fields(config)]
    known = {f"--{name.replace('_', '-')}" for name in fields} | {
        "--help",
        "--config",
        "--logdir",
        "--no-open",
        "--lowest",
        "--version",
    }
    launcher = {"--config_file", "--num_processes", "--num_machines", "--main_process_ip", "--machine_rank",
                "--main_process_port", "--max-restarts", "--nnodes", "--nproc-per-node", "--rdzv-backend",
                "--rdzv-endpoint", "--rdzv-id", "--local-addr", "--nodes", "--gpus-per-node", "--cpus-per-task",
                "--array", "--signal", "--file", "--tag", "--rm", "--init", "--gpus", "--user", "--volume"}  # fmt: skip
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", PAGES[page])) <= known | launcher


def test_preset_table_is_complete() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \|", PAGES["docs/training.md"], re.MULTILINE)) >= PRESETS.keys()


def test_launch_files_exist() -> None:
    files = set(re.findall(r"launch/accelerate/\w+\.yaml", PAGES["docs/training.md"]))
    assert files == {path.relative_to(ROOT).as_posix() for path in (ROOT / "launch/accelerate").glob("*.yaml")}


def test_the_way_in_stays_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 130
    assert sum(len(text.split()) for page, text in PAGES.items() if page.startswith("docs/")) <= 14_000
