"""What the report is made of: the results of the suite and the curves of runs, found and read, without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from benchmarks.core.record import KINDS, Record, Result, Tensors, modernized, without_seed
from colornet.errors import InputError

__all__ = ["SECTIONS", "Results", "Run", "read_results"]

# Kinds of records in the order of the page. The module of each has `section(result, colors)` and, in `REQUIRED` by
# kind, the keys that it cannot do without: of the record, and of each entry of those of its lists that it has.
SECTIONS = {
    "quality": "benchmarks.quality.report.section",
    "ablation": "benchmarks.ablation.report",
    "ceiling": "benchmarks.evaluator.report",
    "validation": "benchmarks.evaluator.report",
    "photos": "benchmarks.photos.report",
    "speedrun": "benchmarks.speedrun.report",
    "throughput": "benchmarks.throughput.report",
    "inference": "benchmarks.inference.report",
    "scaling": "benchmarks.scaling.report",
    "growth": "benchmarks.growth.report",
    "reliability": "benchmarks.reliability.report",
    "machines": "benchmarks.reliability.report",
}


@dataclass(frozen=True)
class Run:
    """The folder of a training: its options and its curves, a record a point."""

    path: Path
    config: Record
    records: list[Record]

    @property
    def group(self) -> str:
        """The name that it shares with the runs that differ from it in their seed."""
        return without_seed(self.path.resolve().name)


@dataclass(frozen=True)
class Results:
    """Everything that the report shows: results by kind, and runs."""

    by_kind: dict[str, list[Result]]
    runs: list[Run]

    def of(self, kind: str) -> list[Result]:
        """Return the results of a kind."""
        return self.by_kind.get(kind, [])


def read_results(inputs: Sequence[Path]) -> Results:
    """Read all results below the given folders, each once; JSON files of other kinds are passed over."""
    results: dict[str, dict[Path, Result]] = {kind: {} for kind in SECTIONS}
    runs: dict[Path, Run] = {}
    for given in inputs:
        found = 0
        for path in _files(given, ".json"):
            record = _read_json(path)
            kind = record.get("kind") if isinstance(record, dict) else None
            if kind in SECTIONS:
                _check_record(path, record)
                results[kind][path.resolve()] = Result(path, record, _read_tensors(path, record))
                found += 1
        for path in _files(given, "metrics.jsonl"):
            if (path.parent / "config.json").is_file():
                runs[path.parent.resolve()] = _read_run(path.parent)
                found += 1
        if not found:
            kinds = f"{', '.join([*SECTIONS][:-1])} or {[*SECTIONS][-1]}"
            raise InputError(f"{given} holds no results: neither JSON of {kinds} nor a run with curves.")
    return Results({kind: [*kept.values()] for kind, kept in results.items()}, [*runs.values()])


def _files(given: Path, ending: str) -> Iterator[Path]:
    """List the files with that ending at or below a path in a stable order, without those still being written."""
    paths = [given] if given.is_file() else sorted(given.rglob(f"*{ending}"))
    return (path for path in paths if path.name.endswith(ending) and not path.name.startswith("."))


def _read_json(path: Path) -> Any:
    try:
        return modernized(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:  # of the JSON, or of its characters
        raise InputError(f"{path} is damaged, make it again or remove it: {error}.") from None


def _check_record(path: Path, record: Record) -> None:
    keys, lists = import_module(SECTIONS[record["kind"]]).REQUIRED[record["kind"]]
    missing = [key for key in keys if key not in record]
    for name, entry_keys in lists.items():
        missing += [key for key in entry_keys if any(key not in entry for entry in record.get(name) or ())]
    if missing:
        raise InputError(f"{path} is incomplete, make it again or remove it: it lacks {', '.join(missing)}.")
    unknown = {row["kind"] for row in record["rows"]} - {*KINDS} if record["kind"] == "quality" else ()
    if unknown:
        raise InputError(
            f"{path} has rows of unknown kind ({', '.join(sorted(unknown))}): expected {', '.join(KINDS)}."
        )


def _read_tensors(path: Path, record: Record) -> Tensors:
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
