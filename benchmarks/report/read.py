"""Find and read what the report shows, without torch: the results of the suite and the curves of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file

from benchmarks.core.record import (
    KINDS,
    Record,
    Result,
    Tensors,
    check_shape,
    modernized,
    read_json,
    showing,
    without_seed,
)
from colornet.errors import InputError
from colornet.runs.run import Run

# Kinds of records in the order of the page. The module of each has `section(result, colors)` and, in `REQUIRED` by
# kind, the keys that it cannot do without: of the record, and of each entry of those of its lists that it has.
SECTIONS = {
    "quality": "benchmarks.quality.report.section",
    "ablation": "benchmarks.ablation.report",
    "ceiling": "benchmarks.evaluator.report",
    "evaluator-validation": "benchmarks.evaluator.report",
    "photos": "benchmarks.photos.report",
    "speedrun": "benchmarks.speedrun.report",
    "speedrun-to-quality": "benchmarks.speedrun.report",
    "agreement": "benchmarks.agreement.report",
    "throughput": "benchmarks.throughput.report",
    "inference": "benchmarks.inference.report",
    "scaling": "benchmarks.scaling.report",
    "growth": "benchmarks.growth.report",
    "reliability": "benchmarks.reliability.report",
    "machines": "benchmarks.reliability.report",
}

# What the parts of the page that join several results take from each.
_NUMBER = int | float | None
_SHAPES: Record = {
    "quality": {
        "data": {"name": str},
        "columns": {"*": {"label": str}},
        "rows": [{"name": str, "kind": str, "values": {"*": dict | None}}],
    },
    "throughput": {"device": str, "rows": [{"preset": str, "mode": str, "images_per_second": _NUMBER}]},
    "speedrun": {"ours": {"preset": str}},
    "speedrun-to-quality": {"recipes": {"*": dict}},
    "ablation": {"data": {"name": str, "image_size": int}, "floors": {"*": {"*": _NUMBER}}},
}

Results = dict[str, list[Result]]  # by kind, a list for each of SECTIONS


def name_of(run: Run) -> str:
    """Return the name of a run, that of its folder, as rows of records are named today."""
    return str(modernized(run.path.resolve().name))


def group_of(run: Run) -> str:
    """Return the name that a run shares with the runs that differ from it in their seed."""
    return without_seed(name_of(run))


def read_results(inputs: Sequence[Path]) -> tuple[Results, list[Run]]:
    """Read all results and runs below the given folders, each once; JSON files of other kinds are skipped."""
    results: dict[str, dict[Path, Result]] = {kind: {} for kind in SECTIONS}
    runs: dict[Path, Run] = {}
    for given in inputs:
        found = 0
        for path in _files(given, ".json"):
            record = read_json(path)
            kind = record.get("kind") if isinstance(record, dict) else None
            if isinstance(kind, str) and kind in SECTIONS:
                check_record(path, record)
                results[kind][path.resolve()] = Result(_shown(path, given), record, _read_tensors(path, record))
                found += 1
        for path in _files(given, "metrics.jsonl"):
            if (path.parent / "config.json").is_file():
                runs[path.parent.resolve()] = Run(path.parent)
                found += 1
        if not found:
            kinds = f"{', '.join([*SECTIONS][:-1])} or {[*SECTIONS][-1]}"
            raise InputError(f"{given} holds no results: neither JSON of {kinds} nor a run with curves.")
    return {kind: [*kept.values()] for kind, kept in results.items()}, [*runs.values()]


def _shown(path: Path, given: Path) -> Path:
    """Return a path from the name of the folder that was given: the folders above it mean nothing to readers."""
    return Path(path.name) if path == given else Path(given.resolve().name) / path.relative_to(given)


def _files(given: Path, ending: str) -> Iterator[Path]:
    """List the files with that ending at or below a path in a stable order, without those still being written."""
    paths = [given] if given.is_file() else sorted(given.rglob(f"*{ending}"))
    named = (path for path in paths if path.name.endswith(ending) and not path.name.startswith("."))
    return (path for path in named if not path.is_dir())


def check_record(path: Path, record: Record) -> None:
    """Raise `InputError` for a record of one of SECTIONS that lacks what its section cannot do without."""
    with showing(path):
        _check_keys(path, record)
        check_shape(record, _SHAPES.get(record["kind"], {}))


def _check_keys(path: Path, record: Record) -> None:
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
    """Read the tensors stored next to a result, if there are any."""
    with showing(path):
        return _tensors(path, record)


def _tensors(path: Path, record: Record) -> Tensors:
    pictures = record.get("pictures")
    file = path.parent / pictures["file"] if pictures else path.with_suffix(".safetensors")
    if not file.is_file():
        return {}
    try:
        tensors = {"/".join(map(modernized, name.split("/"))): value for name, value in load_file(file).items()}
    except SafetensorError as error:
        raise InputError(f"{file} is damaged, make it again or remove it: {error}.") from None
    for name, images in tensors.items():
        if pictures and name.startswith("pictures/") and len(images) != len(pictures["labels"]):
            raise InputError(f"{file} holds {len(images)} images as {name}, but {path} has another number of labels.")
    return tensors
