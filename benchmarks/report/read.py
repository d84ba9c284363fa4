"""What the report is made of: the results of the suite and the curves of runs, found and read, without torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from benchmarks.core.record import modernized
from colornet.errors import InputError
from colornet.runs.run import Run as TrainedRun

__all__ = ["KINDS", "Record", "Result", "Results", "Run", "Tensors", "read_results", "without_seed"]

Record = dict[str, Any]
Tensors = dict[str, NDArray[Any]]

# Of rows, in the order in which tables show them.
KINDS = ("truth", "floor", "oracle", "nonsense", "unranked", "model")

# What the page cannot do without: keys of a file, and of each entry of its lists, as far as it has these.
_REQUIRED: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "quality": (
        ("data", "columns", "rows", "command", "commit", "date", "device"),
        {"rows": ("name", "kind", "values")},
    ),
    "throughput": (
        ("device", "rows"),
        {
            "rows": ("preset", "mode", "batch_size", "images_per_second"),
            "rooflines": ("preset", "batch_size", "precision", "compile", "groups", "seconds", "share_of_bound",
                          "measured_images_per_second", "input_seconds"),
            "largest_batches": ("preset", "precision", "compile", "batch_size", "peak_memory_bytes",
                                "memory_limit_bytes", "granularity", "capped"),
        },
    ),
    "speedrun": (
        ("data", "target", "gray", "notebook_pipeline", "ours", "runs", "median", "commit", "date", "device"),
        {"runs": ("seed", "reached", "reason", "seconds", "ratio", "images", "parameters", "curve")},
    ),
    "scaling": (
        ("points", "link", "models", "data", "commit", "date", "device"),
        {
            "points": ("preset", "processes", "images", "bucket_mb", "seconds", "images_per_second",
                       "weak_efficiency", "strong_efficiency"),
            "models": ("preset", "gradient_bytes", "compute", "hidden_share", "predictions",
                       "images_for_90_percent"),
        },
    ),
    "ablation": (("data", "questions", "floors", "variants", "runs", "failures", "commit", "date", "device"), {}),
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One JSON file of results and the tensors beside it, which are empty where there is no such file."""

    path: Path
    record: Record
    tensors: Tensors


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
    """Everything that the report shows."""

    quality: list[Result]
    throughput: list[Result]
    speedrun: list[Result]
    scaling: list[Result]
    ablation: list[Result]
    runs: list[Run]


def read_results(inputs: Sequence[Path]) -> Results:
    """Read all results below the given folders, each once; JSON files of other kinds are passed over."""
    results: dict[str, dict[Path, Result]] = {kind: {} for kind in _REQUIRED}
    runs: dict[Path, Run] = {}
    for given in inputs:
        found = 0
        for path in _files(given, ".json"):
            record = _read_json(path)
            kind = record.get("kind") if isinstance(record, dict) else None
            if kind in _REQUIRED:
                _check_record(path, record)
                results[kind][path.resolve()] = Result(path, record, _read_tensors(path, record))
                found += 1
        for path in _files(given, "metrics.jsonl"):
            if (path.parent / "config.json").is_file():
                runs[path.parent.resolve()] = _read_run(path.parent)
                found += 1
        if not found:
            kinds = f"{', '.join([*_REQUIRED][:-1])} or {[*_REQUIRED][-1]}"
            raise InputError(f"{given} holds no results: neither JSON of {kinds} nor a run with curves.")
    return Results(**{kind: [*kept.values()] for kind, kept in results.items()}, runs=[*runs.values()])


def without_seed(name: str) -> str:
    """Drop the number of the seed that ends the name of a run: `cgan-2` is one of `cgan`."""
    return re.sub(r"-\d+$", "", name)


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
    keys, lists = _REQUIRED[record["kind"]]
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
    """Read a run, which may be in progress."""
    config = _read_json(folder / "config.json")
    if not isinstance(config, dict) or "batch_size" not in config:
        raise InputError(
            f"{folder / 'config.json'} is incomplete, remove the run or leave it out: it lacks batch_size."
        )
    return Run(folder, config, TrainedRun(folder).records)
