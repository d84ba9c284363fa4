"""Decoded data sets on disk: KEY.npy holds the images of the three parts in order, KEY.json describes them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from colornet.data.formats import image_formats
from colornet.data.listing import ImageFile
from colornet.data.memory_map import advise_random, map_images, store_images
from colornet.data.splits import PARTS, Dataset, Labels, fingerprint
from colornet.errors import InputError, printable
from colornet.files import write_text

_READER_VERSION = "5"  # raise it whenever the same files would decode, split or be stored differently

_logger = logging.getLogger("colornet.data")


class Remark(NamedTuple):
    """What the user is told of a file: why it is left out, or that only a page of it is used."""

    name: str
    what: str
    left_out: bool
    passing: bool = False  # the reason is not in the file's content: the next load tries again


def cache_key(files: Iterable[ImageFile], image_size: int) -> str:
    """Return the name under which a folder's decoded images are kept: a sha256 in hexadecimal.

    It covers the relative path, size and time of last change of each file, as reading all contents may take too long,
    and the formats that can be read.
    """
    digest = hashlib.sha256(f"{_READER_VERSION} {image_size} {image_formats()}\n".encode())
    for file in files:
        digest.update(os.fsencode(f"{file.name}\0{file.size} {file.mtime_ns}\n"))
    return digest.hexdigest()


def make_folder(folder: Path) -> None:
    """Create a folder of the cache; raise InputError if it is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error.strerror or "not possible") from error
    if not os.access(folder, os.W_OK):
        raise not_writable(folder, "no permission")


def read_dataset(path: Path, name: str) -> tuple[Dataset, list[Remark]] | None:
    """Return a data set, mapped from its .npy file, and remarks about its files; None if missing or damaged."""
    about = path.with_suffix(".json")
    if not about.exists():
        return None
    try:
        record = json.loads(about.read_text(encoding="utf-8"))
        train, validation, test = map_images(path).split(record["sizes"])
        if labels := record["labels"]:
            labels = Labels(tuple(labels["classes"]), *(torch.tensor(labels[part]) for part in PARTS))
        if fingerprint(train, validation, test) == record["fingerprint"]:
            advise_random(train)  # only now: the fingerprint reads the images in order
            remarks = [Remark(*remark) for remark in record["remarks"]]
            return Dataset(name, train, validation, test, record["fingerprint"], labels), remarks
        problem = "its content changed"
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError) as error:
        problem = str(error)
    _logger.warning("Cached images in %s are damaged (%s): decoding them again.", printable(str(path)), problem)
    return None


def write_dataset(
    path: Path,
    sizes: Sequence[int],
    image_shape: tuple[int, ...],
    images: Iterable[NDArray[np.uint8]],
    labels: Labels | None,
    remarks: Sequence[Remark],
) -> None:
    """Store a decoded data set at a .npy path, so that a reader finds all of it or nothing.

    `sizes` count the images of `PARTS`; `images` yields pieces of them (n, 3, H, W) in that order, each of which fits
    into memory. Raises InputError if the folder cannot be written.
    """
    record: dict[str, Any] = {"sizes": list(sizes), "labels": None, "remarks": remarks}
    if labels is not None:
        record["labels"] = {"classes": labels.classes} | {part: getattr(labels, part).tolist() for part in PARTS}
    try:
        store_images(path, (sum(sizes), *image_shape), images)
        record["fingerprint"] = fingerprint(*map_images(path).split(record["sizes"]))
        write_text(path.with_suffix(".json"), json.dumps(record))  # last: without it there is no data set
    except OSError as error:
        raise not_writable(path.parent, error.strerror or str(error)) from error


def not_writable(folder: Path, reason: str) -> InputError:
    """Return the error for a folder of the cache that cannot be written, for `reason`."""
    advice = "choose another with --cache-dir or COLORNET_DATA"
    return InputError(f"Cache folder '{folder}' cannot be written ({reason}): {advice}.")
