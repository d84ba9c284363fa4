"""Records of results: what they hold, and how older ones are read."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from colornet import files
from colornet.errors import InputError, printable

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

    def shown(path: Path) -> str:
        return path.name if path.is_absolute() else str(path)  # whose folders are those of a machine

    values = json.loads(json.dumps(dataclasses.asdict(options), default=shown))  # tuples become lists, paths text
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

_LARGEST = 2**28  # bytes of a JSON file
_LARGEST_NUMBER = 1e300  # above it, sums and squares are infinite
_LONGEST = 20_000  # characters of a text


def modernized(value: Any, *, renaming: bool = True) -> Any:
    """Return a value of a record with the names of today for presets, rows and keys, and texts that are safe to show.

    Raises ValueError for a number that is not finite, or so large that computing with it may fail.
    """
    if isinstance(value, dict):
        return {
            modernized(key, renaming=renaming): modernized(found, renaming=renaming and key not in _KEPT)
            for key, found in value.items()
        }
    if isinstance(value, list):
        return [modernized(entry, renaming=renaming) for entry in value]
    if isinstance(value, str):
        value = printable(value, _LONGEST)
        for pattern, replacement in _RENAMED if renaming else ():
            value = pattern.sub(replacement, value)
    elif isinstance(value, (int, float)) and not abs(value) < _LARGEST_NUMBER:
        raise ValueError("a number is not finite, or too large")
    return value


def first_key(values: Collection[str], beginning: str) -> str:
    """Return `beginning` if it is a key, or else the first that begins so, if any.

    The keys of distances hold the name of their evaluator, `fd_cifar10_v2`, and older records were scored by others.
    """
    return beginning if beginning in values else next((key for key in values if key.startswith(beginning)), beginning)


def read_json(path: Path) -> Any:
    """Read a JSON file with the names of today; raise `InputError` for one that is damaged or cannot be read."""
    try:
        return modernized(files.read_json(path, _LARGEST))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:  # of the JSON, its characters or its values
        raise InputError(f"{path} is damaged, make it again or remove it: {error}.") from None


@contextmanager
def showing(source: object) -> Iterator[None]:
    """Turn the errors of code that shows what a file holds into an `InputError` that names it, `source`.

    Whoever changes a record by hand can put anything anywhere: what shows it finds out.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}".rstrip(".")
        raise InputError(
            f"{source} cannot be shown, make it again or remove it: it lacks something, or holds another kind of value "
            f"than expected ({reason})."
        ) from error


def check_shape(value: Any, shape: Any, place: str = "it") -> None:
    """Raise ValueError where a value of a record is not of a shape.

    A shape is a type or several (`int | None`), a list of one shape for all entries, or a dictionary of shapes by key,
    of which "*" stands for all keys.
    """
    if isinstance(shape, dict) and isinstance(value, dict):
        for key, inner in shape.items():
            if key != "*" and key not in value:
                raise ValueError(f"{place} lacks {key}")
            for name in value if key == "*" else [key]:
                check_shape(value[name], inner, f"{place}, {name}")
    elif isinstance(shape, list) and isinstance(value, list):
        for number, entry in enumerate(value):
            check_shape(entry, shape[0], f"{place}, number {number}")
    elif isinstance(shape, (dict, list)) or not isinstance(value, shape) or isinstance(value, bool):
        raise ValueError(f"{place} is {printable(repr(value), 40)}, which is not what belongs there")
