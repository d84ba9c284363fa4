"""Published weights: found or downloaded once, checked by their sha256 before they are read, used in full precision.

No weights come with colornet but its own. Reading a file of weights runs no code.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import torch
from torch import Tensor
from tqdm import tqdm

from colornet.errors import InputError
from colornet.files import replacing

__all__ = ["WeightsUnavailable", "find_weights", "full_precision", "load_weights"]

_TIMEOUT = 30  # seconds without a byte, after which a download has failed


class WeightsUnavailable(Exception):  # noqa: N818 – a reason why a column of a table stays empty, not a failure
    """Published weights cannot be had here; the message says why, in words fit for a footnote."""


def find_weights(path: Path | None, cache_dir: Path, *, url: str, sha256: str) -> Path:
    """Return a file of published weights: `path` if given, else the copy in `cache_dir`, downloaded if need be.

    Among several processes, let one call it before the others do. Only a download is checked against `sha256` here, and
    kept if it agrees; `load_weights` checks every file. Raises InputError if there is no file at `path`, and
    `WeightsUnavailable` if the download fails.
    """
    if path is not None:
        if not path.is_file():
            raise InputError(f"There is no file '{path}': give the path of {Path(url).name}.")
        return path
    cached = cache_dir / "weights" / Path(url).name
    if not cached.is_file():
        _download(url, cached, sha256)
    return cached


def load_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read a state dict, on the CPU, from a file whose sha256 is known, without running any code that may be in it.

    Raises InputError if the file cannot be read or has another sha256, and pickle.UnpicklingError if it holds more than
    tensors and plain values.
    """
    try:
        content = path.read_bytes()  # once: the bytes that are checked are those that are loaded
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error}): check the file.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(f"'{path}' should have the sha256 {sha256} but has {found}: remove or replace it.")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute float32 as float32 meanwhile: without autocast, and without TF32 in convolutions and products of GPUs."""
    backends: Any = torch.backends  # which makes some of its settings at run time, unseen by mypy
    kinds = (backends.cudnn.conv, backends.cuda.matmul)
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision


def _download(url: str, path: Path, sha256: str) -> None:
    """Download a file, whole and with this sha256, or raise `WeightsUnavailable`; a terminal sees the progress."""
    try:
        with replacing(path) as temporary:
            with urlopen(url, timeout=_TIMEOUT) as response, temporary.open("wb") as file:
                size = int(response.headers.get("Content-Length", 0)) or None
                # None: no bar unless on a terminal
                with tqdm.wrapattr(response, "read", size, desc=path.name, disable=None, leave=False) as stream:
                    shutil.copyfileobj(stream, file)
            found = hashlib.sha256(temporary.read_bytes()).hexdigest()
            if found != sha256:
                raise WeightsUnavailable(f"{url} gave a file whose sha256 is {found}, not {sha256}")
    except (OSError, HTTPException) as error:
        raise WeightsUnavailable(f"{path.name} is not in '{path.parent}' and cannot be downloaded ({error})") from error
