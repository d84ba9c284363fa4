"""A data set of any size in one file: given images repeated, each time with different noise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from colornet.data import Dataset
from colornet.data.cache import make_folder, write_dataset
from colornet.data.memory_map import advise_random, map_images
from colornet.errors import InputError

_PIECE = 2**22  # bytes that are written at a time
_NOISE = 7  # mask of the bits that differ from repetition to repetition


def write_images(folder: Path, loaded: Dataset, count: int) -> tuple[Path, bool]:
    """Write `count` training images as the cache of decoded images does, unless they are there.

    Returns their file and whether it is new. Raises InputError where the disk has no room for them.
    """
    pixels: NDArray[np.uint8] = loaded.train.numpy()
    path = folder / f"growth-{count}-{pixels.shape[-1]}-{loaded.fingerprint[:16]}.npy"
    if path.exists():
        return path, False
    make_folder(folder)
    size, free = count * pixels[0].nbytes, shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"{count:,} images occupy {size / 1e9:,.1f} GB, and {folder} has {free / 1e9:,.1f} GB left: choose smaller "
            "--sizes or another --scratch."
        )
    write_dataset(path, (count, 1, 1), pixels.shape[1:], _pieces(pixels, count), None, [])
    return path, True


def _pieces(pixels: NDArray[np.uint8], count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the images, then one for validation and one for testing."""
    rng = np.random.default_rng(0)
    step = max(_PIECE // pixels[0].nbytes, 1)
    for start in range(0, count, step):
        piece = pixels[np.arange(start, min(start + step, count)) % len(pixels)]
        yield piece ^ (np.frombuffer(rng.bytes(piece.nbytes), np.uint8) & _NOISE).reshape(piece.shape)
    yield pixels[:1]
    yield pixels[:1]


def images_of(path: Path, count: int) -> Tensor:
    """Map the first images of the file, as loading does, with a new map so that no earlier one keeps them in memory."""
    images = map_images(path)
    advise_random(images)
    return images[:count]


def prefetch(path: Path, size: int) -> None:
    """Read the first `size` bytes of a file, as loading does: the page cache holds them, if it has room for them."""
    with path.open("rb", buffering=0) as file:
        while size > 0 and (piece := file.read(min(size, _PIECE))):
            size -= len(piece)


def evict_page_cache(path: Path) -> None:
    """Remove a file from the page cache; it must not be mapped."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
