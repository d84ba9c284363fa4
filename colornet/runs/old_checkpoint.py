"""Read `state.pt`, the only file of a checkpoint of format 1: what `torch.save` made of nested dictionaries.

Its parts are checked before torch reads it, so that it takes no more memory than its own size. A run that resumes from
one writes the current format; this module can go when no such run is left to continue.
"""

from __future__ import annotations

import itertools
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

STATE_PT = "state.pt"

_GLOBALS = re.compile(r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch [A-Z][A-Za-z0-9]*Storage")
_MOST_TENSORS = 100_000


def read_state_pt(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the values and the tensors; no code is run. Raises `ValueError` or `OSError` for anything unexpected."""
    try:
        _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        values = {name: state[name] for name in ("step", "data", "scaler")}
        tensors: dict[str, Tensor] = {}
        for name, tensor in _named(state):
            if len(tensors) == _MOST_TENSORS:
                raise ValueError(f"it has more than {_MOST_TENSORS:,} tensors")
            tensors[name] = _checked(name, tensor)
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, KeyError, TypeError, AttributeError,
        IndexError, NotImplementedError,
    ) as error:  # fmt: skip
        raise ValueError(f"{STATE_PT} cannot be read: {str(error).partition(chr(10))[0]}") from error
    return values, tensors


def _check_archive(path: Path) -> None:
    """Raise `ValueError` unless an archive is stored as torch does it, without code and at its full size."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":  # torch would take it for a format of its own that is older still
            raise ValueError(f"{STATE_PT} is no archive of torch")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError(f"{STATE_PT} is compressed")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError(f"{STATE_PT} claims more bytes than it has")
        pickles = [archive.read(member) for member in members if member.filename.endswith("data.pkl")]
        for operation, argument, _ in itertools.chain.from_iterable(map(pickletools.genops, pickles)):
            if "GLOBAL" in operation.name and not _GLOBALS.fullmatch(str(argument)):
                raise ValueError(f"{STATE_PT} names {str(argument)!r}, which is no tensor")


def _named(state: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for network, weights in state["networks"].items():
        yield from ((f"networks/{network}/{name}", value) for name, value in weights.items())
    for network, moments in state["optimizers"].items():
        for index, entry in moments.items():
            yield from ((f"optimizers/{network}/{index}/{name}", value) for name, value in entry.items())
    yield from ((f"ema/{name}", value) for name, value in state["ema"].items())


def _checked(name: str, tensor: Any) -> Tensor:
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
        raise ValueError(f"{name} is no tensor of numbers")
    if tensor.untyped_storage().nbytes() < tensor.nbytes:
        raise ValueError(f"{name} repeats its numbers")
    return tensor.detach()
