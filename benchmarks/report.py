"""Make one page of results: `python -m benchmarks report DIR… --out DIR`.

Reads the JSON files of `quality` and `throughput` and the curves of runs wherever they lie below the given folders, and
writes `report.html`, a page that needs no other file and no network, and `report.md`, its tables in Markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from colornet.errors import InputError, exiting_on_errors

__all__ = ["KINDS", "OUTPUTS", "ReportConfig", "Result", "Results", "Run", "main", "read_results", "without_seed"]

OUTPUTS = ("report.html", "report.md")

# Of rows, in the order in which tables show them.
KINDS = ("truth", "floor", "oracle", "nonsense", "unranked", "model")

# What the page cannot do without: keys of a file, and of each of its rows.
_REQUIRED = {
    "quality": (("data", "columns", "rows", "command", "commit", "date", "device"), ("name", "kind", "values")),
    "throughput": (("device", "rows"), ("preset", "mode", "batch_size", "images_per_second")),
}


@dataclass(frozen=True)
class ReportConfig:
    """Which results are shown, and where."""

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]  # folders with results and runs, or JSON files
    out: Path  # folder for report.html and report.md; must not hold them yet


@dataclass(frozen=True)
class Result:
    """One JSON file of results and the tensors beside it, which are empty where there is no such file."""

    path: Path
    record: dict[str, Any]
    tensors: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Run:
    """The folder of a training: its options and its curves, a record a point."""

    path: Path
    config: dict[str, Any]
    records: list[dict[str, Any]]

    @property
    def group(self) -> str:
        """The name that it shares with the runs that differ from it in their seed."""
        return without_seed(self.path.resolve().name)


@dataclass(frozen=True)
class Results:
    """Everything that the report shows."""

    quality: list[Result]
    throughput: list[Result]
    runs: list[Run]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write the report; mistakes of the user end in one sentence and exit code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(ReportConfig, args=arguments, prog="python -m benchmarks report", description=__doc__)
        check(config)
        results = read_results(config.inputs)
        # Imported only now: torch and matplotlib take seconds, which neither --help nor a mistake should cost.
        from benchmarks.report_page import write_report

        write_report(results, config.out)
        print(f"Written to {config.out}: {', '.join(OUTPUTS)}")


def check(config: ReportConfig) -> None:
    """Raise `InputError` for whatever can be seen to stop the report before a file is read."""
    if not config.inputs:
        raise InputError("No result is named: give at least one folder that holds some.")
    for path in config.inputs:
        if not path.exists():
            raise InputError(f"{path} does not exist: give folders or JSON files of results.")
    if config.out.exists() and not config.out.is_dir():
        raise InputError(f"--out {config.out} is a file: choose a folder.")
    for name in OUTPUTS:
        if (config.out / name).exists():
            raise InputError(f"--out {config.out} already holds a {name}: choose another folder or remove it.")


def read_results(inputs: Sequence[Path]) -> Results:
    """Read all results below the given folders, each once; JSON files of other kinds are passed over."""
    quality: dict[Path, Result] = {}
    throughput: dict[Path, Result] = {}
    runs: dict[Path, Run] = {}
    for given in inputs:
        found = 0
        for path in _files(given, ".json"):
            record = _read_json(path)
            kind = record.get("kind") if isinstance(record, dict) else None
            if kind in _REQUIRED:
                _check_record(path, record)
                kept = quality if kind == "quality" else throughput
                kept[path.resolve()] = Result(path, record, _read_tensors(path, record))
                found += 1
        for path in _files(given, "metrics.jsonl"):
            if (path.parent / "config.json").is_file():
                runs[path.parent.resolve()] = _read_run(path.parent)
                found += 1
        if not found:
            raise InputError(f"{given} holds no results: neither JSON of quality or throughput nor a run with curves.")
    return Results(list(quality.values()), list(throughput.values()), list(runs.values()))


def without_seed(name: str) -> str:
    """Drop the number of the seed that ends the name of a run: `cgan-2` is one of `cgan`."""
    return re.sub(r"-\d+$", "", name)


def _files(given: Path, ending: str) -> Iterator[Path]:
    """List the files with that ending at or below a path in a stable order, without those still being written."""
    paths = [given] if given.is_file() else sorted(given.rglob(f"*{ending}"))
    return (path for path in paths if path.name.endswith(ending) and not path.name.startswith("."))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of the JSON, or of its characters
        raise InputError(f"{path} is damaged, make it again or remove it: {error}.") from None


def _check_record(path: Path, record: dict[str, Any]) -> None:
    keys, row_keys = _REQUIRED[record["kind"]]
    missing = [key for key in keys if key not in record]
    missing += [key for key in row_keys if any(key not in row for row in record.get("rows", []))]
    if missing:
        raise InputError(f"{path} is incomplete, make it again or remove it: it lacks {', '.join(missing)}.")
    unknown = {row["kind"] for row in record["rows"]} - {*KINDS} if record["kind"] == "quality" else ()
    if unknown:
        raise InputError(
            f"{path} has rows of unknown kind ({', '.join(sorted(unknown))}): expected {', '.join(KINDS)}."
        )


def _read_tensors(path: Path, record: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Read the tensors beside a result, if there are any."""
    pictures = record.get("pictures")
    beside = path.parent / pictures["file"] if pictures else path.with_suffix(".safetensors")
    if not beside.is_file():
        return {}
    try:
        tensors = load_file(beside)
    except SafetensorError as error:
        raise InputError(f"{beside} is damaged, make it again or remove it: {error}.") from None
    for name, images in tensors.items():
        if pictures and name.startswith("pictures/") and len(images) != len(pictures["labels"]):
            raise InputError(f"{beside} holds {len(images)} images as {name}, but {path} has another number of labels.")
    return tensors


def _read_run(folder: Path) -> Run:
    """Read a run; the last line of its curves may be half written, since it may be going on."""
    config = _read_json(folder / "config.json")
    if not isinstance(config, dict) or "batch_size" not in config:
        raise InputError(
            f"{folder / 'config.json'} is incomplete, remove the run or leave it out: it lacks batch_size."
        )
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise InputError(f"{folder / 'metrics.jsonl'} is damaged in line {number}: remove the line.") from None
    return Run(folder, config, records)
