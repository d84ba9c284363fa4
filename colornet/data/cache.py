"""Decoded data sets on disk: one safetensors file each, which is there as a whole or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from colornet.data.listing import ImageFile
from colornet.data.memory_map import advise_random, map_images
from colornet.data.splits import Labels, Parts
from colornet.errors import InputError
from colornet.files import replacing

__all__ = ["PARTS", "cache_key", "make_folder", "not_writable", "read_parts", "write_parts"]

_READER_VERSION = "2"  # raise it whenever the same files would decode, split or be stored differently

PARTS = ("train", "validation", "test")

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
        raise not_writable(folder, error.strerror or "not possible") from error
    if not os.access(folder, os.W_OK):
        raise not_writable(folder, "no permission")


def read_parts(path: Path) -> tuple[Parts, list[str]] | None:
    """Return a decoded data set and the names of files that were unreadable; nothing if missing or damaged.

    The images are mapped into memory, not copied, and may be more than it holds. Once they are compared with their
    fingerprint, which reads all of them in turn, those for training are expected to be read in no order.
    """
    if not path.exists():
        return None
    try:
        # This checks the header against the length of the file; labels are small and copied.
        with safe_open(path, framework="np") as file:
            metadata = file.metadata()
            images = map_images(path)
            parts = Parts(images["train"], images["validation"], images["test"])
            if classes := json.loads(metadata["classes"]):
                labels = (torch.from_numpy(file.get_tensor(f"labels/{part}")) for part in PARTS)
                parts = dataclasses.replace(parts, labels=Labels(tuple(classes), *labels))
        if parts.fingerprint == metadata["fingerprint"]:
            advise_random(parts.train)
            return parts, json.loads(metadata["unreadable"])
        problem = "its content changed"
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        problem = str(error)
    _logger.warning("Cached images in %s are damaged (%s): decoding them again.", path, problem)
    return None


def write_parts(
    path: Path,
    name: str,
    shapes: dict[str, tuple[int, ...]],
    images: Iterable[NDArray[np.uint8]],
    labels: Labels | None,
    unreadable: list[str],
) -> None:
    """Store a decoded data set so that a reader finds all of it or nothing; raise InputError where that fails.

    `shapes` are those of the three parts, (N, 3, H, W) each; `images` yields what they hold, in the order of `PARTS`
    and in pieces (n, 3, H, W), so that no more than a piece must be in memory.
    """
    metadata = {
        "format": _READER_VERSION,
        "name": name,
        "fingerprint": "0" * 64,  # until there is something to take it of
        "unreadable": json.dumps(unreadable),
        "classes": json.dumps(labels.classes if labels else []),
    }
    stored = {} if labels is None else {f"labels/{part}": getattr(labels, part).numpy() for part in PARTS}
    try:
        with replacing(path) as temporary:
            with temporary.open("wb") as file:
                file.write(_header(metadata, stored, shapes))
                for array in stored.values():
                    file.write(array.data)
                for piece in images:
                    file.write(np.ascontiguousarray(piece).data)
            written = map_images(temporary)
            metadata["fingerprint"] = Parts(written["train"], written["validation"], written["test"]).fingerprint
            del written  # Windows renames no file that is mapped
            with temporary.open("r+b") as file:
                file.write(_header(metadata, stored, shapes))
    except OSError as error:
        raise not_writable(path.parent, error.strerror or str(error)) from error


def _header(
    metadata: dict[str, str], labels: dict[str, NDArray[np.int64]], shapes: dict[str, tuple[int, ...]]
) -> bytes:
    """Return what a safetensors file begins with: the length of a JSON, and the JSON with all tensors' places."""
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    tensors = [(name, "I64", array.shape, array.nbytes) for name, array in labels.items()]
    tensors += [(part, "U8", shapes[part], math.prod(shapes[part])) for part in PARTS]
    for name, dtype, shape, size in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": (offset, offset + size)}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # labels, of 8 bytes each, come first: all tensors are aligned
    return struct.pack("<Q", len(text)) + text


def not_writable(folder: Path, reason: str) -> InputError:
    """Return the error of a folder of the cache that takes no file, for `reason`."""
    return InputError(
        f"Cache folder '{folder}' cannot be written ({reason}): choose another with --cache-dir or COLORNET_DATA."
    )
