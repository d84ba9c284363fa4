"""Decoded data sets on disk: one safetensors file each, written all at once or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from colornet.data.listing import ImageFile
from colornet.data.split import Labels, Parts
from colornet.errors import InputError
from colornet.files import replacing

__all__ = ["cache_key", "make_folder", "read_parts", "write_parts"]

_READER_VERSION = "2"  # raise it whenever the same files would decode, split or be stored differently

_PARTS = ("train", "validation", "test")

_logger = logging.getLogger("colornet.data")


def cache_key(files: Sequence[ImageFile], image_size: int) -> str:
    """Return the name under which a folder's decoded images are kept: a sha256 in hexadecimal.

    It covers each file's relative path, size and time of last change, and stands for their content: reading every byte
    of a large collection at each start would take longer than the training it precedes. A folder may thus be moved,
    but a file that is replaced by one of the same size and time goes unnoticed.
    """
    digest = hashlib.sha256(f"{_READER_VERSION} {image_size}\n".encode())
    for file in files:
        digest.update(os.fsencode(f"{file.name}\0{file.size} {file.mtime_ns}\n"))
    return digest.hexdigest()


def make_folder(folder: Path) -> None:
    """Create a folder of the cache; raise InputError where nothing could be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error.strerror or "not possible") from error
    if not os.access(folder, os.W_OK):
        raise _not_writable(folder, "no permission")


def read_parts(path: Path) -> tuple[Parts, list[str]] | None:
    """Return a decoded data set and the names of files that were unreadable; nothing if missing or damaged.

    The images are mapped into memory, not copied.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            parts = Parts(*(file.get_tensor(part) for part in _PARTS))
            if classes := json.loads(metadata["classes"]):
                labels = Labels(tuple(classes), *(file.get_tensor(f"labels/{part}") for part in _PARTS))
                parts = dataclasses.replace(parts, labels=labels)
        if parts.fingerprint == metadata["fingerprint"]:
            return parts, json.loads(metadata["unreadable"])
        problem = "its content changed"
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        problem = str(error)
    _logger.warning("Cached images in %s are damaged (%s): decoding them again.", path, problem)
    return None


def write_parts(path: Path, name: str, parts: Parts, unreadable: list[str]) -> None:
    """Store a decoded data set so that a reader finds all of it or nothing; raise InputError where that fails."""
    tensors = {part: getattr(parts, part).contiguous() for part in _PARTS}
    if parts.labels is not None:
        tensors |= {f"labels/{part}": getattr(parts.labels, part) for part in _PARTS}
    metadata = {
        "format": _READER_VERSION,
        "name": name,
        "fingerprint": parts.fingerprint,
        "unreadable": json.dumps(unreadable),
        "classes": json.dumps(parts.labels.classes if parts.labels else []),
    }
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)
    except (OSError, SafetensorError) as error:
        raise _not_writable(path.parent, str(error)) from error


def _not_writable(folder: Path, reason: str) -> InputError:
    return InputError(
        f"Cache folder '{folder}' cannot be written ({reason}): choose another with --cache-dir or COLORNET_DATA."
    )
