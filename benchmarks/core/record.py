"""Records of results: what they hold, and how older ones are read."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from colornet.errors import InputError

if TYPE_CHECKING:
    import torch

    from colornet.data import Dataset

Record = dict[str, Any]
Tensors = dict[str, NDArray[Any]]

# Kinds of rows of a quality record, in the order in which tables show them.
KINDS = ("truth", "model", "floor", "oracle", "sanity_check", "unranked")


class Result(NamedTuple):
    """One JSON file of results and the tensors beside it, which are empty where there is no such file.

    `path` is what the report calls the file, without the folders of this machine.
    """

    path: Path
    record: Record
    tensors: Tensors


def start_record(kind: str, device: torch.device, options: Any) -> Record:
    """Return what every record begins with: its kind, its provenance and the options (a dataclass)."""
    # Imported only now: it imports torch, which takes seconds and which reading results does not need.
    from colornet.runs.provenance import provenance

    values = json.loads(json.dumps(dataclasses.asdict(options), default=str))  # tuples become lists, paths text
    return {"kind": kind, **provenance(device), "options": values}


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


def without_folders(command: str) -> str:
    """Shorten absolute paths in a command to their last part: they mean nothing on another machine."""
    return re.sub(r"(?<![^\s='\"])/(?:[^\s'\"]*/)?", "", command)


# Names in older records that are different today. Facts about their origin are not changed: command, commit, date.
_RENAMED = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bseed-(ae|cgan)\b", r"notebook-\1"),
        (r"\bseed_(pipeline|width|steps|epochs|passes|images_per_second)\b", r"notebook_\1"),
        (r"\bratio_to_seed\b", "ratio_to_notebook"),
        (r"[Ss]eed pipeline", "notebook pipeline"),
        (r"seed project's", "original notebooks'"),
        (r"\bnazeri_([25])\b", r"accuracy_at_\1"),
        (r"^nonsense$", "sanity_check"),
        (r"^nonsense, ", "sanity check, "),
        (r"([Cc])olour", r"\1olor"),
        (r"([Gg])rey", r"\1ray"),
        (r"([Nn]ormal|[Oo]ptim)is(ation|er)", r"\1iz\2"),
        (r"([Nn])eighbour", r"\1eighbor"),
    )
]
_KEPT = ("command", "commit", "date", "device", "machine", "versions", "data")


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


def first_key(values: Collection[str], beginning: str) -> str:
    """Return `beginning` if it is a key, or else the first that begins so, if any.

    The keys of distances hold the name of their evaluator, `fd_cifar10_v2`, and older records were scored by others.
    """
    return beginning if beginning in values else next((key for key in values if key.startswith(beginning)), beginning)


def read_json(path: Path) -> Any:
    """Read a JSON file with the names of today; raise `InputError` for one that is damaged."""
    try:
        return modernized(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:  # of the JSON, or of its characters
        raise InputError(f"{path} is damaged, make it again or remove it: {error}.") from None
