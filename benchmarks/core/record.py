"""Records of results: what they hold, and how older ones are read."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from colornet.data import Dataset

__all__ = ["KINDS", "Record", "Result", "Tensors", "describe_data", "modernized", "start_record", "without_seed"]

Record = dict[str, Any]
Tensors = dict[str, NDArray[Any]]

# Kinds of rows of a quality record, in the order in which tables show them.
KINDS = ("truth", "floor", "oracle", "nonsense", "unranked", "model")


@dataclass(frozen=True)
class Result:
    """One JSON file of results and the tensors beside it, which are empty where there is no such file."""

    path: Path
    record: Record
    tensors: Tensors


def start_record(kind: str, device: torch.device, options: Any) -> Record:
    """Return what every record begins with: its kind, its provenance and the options (a dataclass)."""
    # Imported only now: it imports torch, which takes seconds and which reading results does not need.
    from colornet.runs.provenance import provenance

    values = dataclasses.asdict(options)
    return {
        "kind": kind,
        **provenance(device),
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in values.items()},
    }


def describe_data(loaded: Dataset, *, repeated_to: int) -> Record:
    """Describe the training images of a data set, and to how many they were repeated."""
    return {
        "name": loaded.name,
        "image_size": loaded.train.shape[-1],
        "images": len(loaded.train),
        "repeated_to": repeated_to,
        "fingerprint": loaded.fingerprint,
    }


def without_seed(name: str) -> str:
    """Drop the seed number at the end of a run's name: `cgan-2` is one of `cgan`."""
    return re.sub(r"-\d+$", "", name)


# Names in older records that are different today. Facts about their origin stay as they are: command, commit, date.
_RENAMED = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bseed-(ae|cgan)\b", r"notebook-\1"),
        (r"\bseed_(pipeline|width|steps|epochs|passes|images_per_second)\b", r"notebook_\1"),
        (r"\bratio_to_seed\b", "ratio_to_notebook"),
        (r"[Ss]eed pipeline", "notebook pipeline"),
        (r"seed project's", "original notebooks'"),
        (r"([Cc])olour", r"\1olor"),
        (r"([Gg])rey", r"\1ray"),
    )
]
_KEPT = ("command", "commit", "date", "device", "machine", "versions")


def modernized(value: Any) -> Any:
    """Return a value of a record with the names of today for presets, rows and keys."""
    if isinstance(value, dict):
        return {modernized(key): found if key in _KEPT else modernized(found) for key, found in value.items()}
    if isinstance(value, list):
        return [modernized(entry) for entry in value]
    if isinstance(value, str):
        for pattern, replacement in _RENAMED:
            value = pattern.sub(replacement, value)
    return value
