"""Images in a .npy file that is mapped into memory."""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from colornet.files import replacing

# Maps by the address of their first image, since a tensor does not know its map.
_maps: WeakValueDictionary[int, mmap.mmap] = WeakValueDictionary()


def store_images(path: Path, shape: tuple[int, ...], pieces: Iterable[NDArray[np.uint8]]) -> None:
    """Write uint8 images of a shape (N, 3, H, W), as pieces (n, 3, H, W) in order; the file is whole or absent."""
    # Not with open_memmap: where the disk is full, writing to a map ends the process.
    with replacing(path) as temporary, temporary.open("wb") as file:
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for piece in pieces:
            file.write(np.ascontiguousarray(piece).data)


def map_images(path: Path) -> Tensor:
    """Map a .npy file of uint8 images (N, 3, H, W), not to be written to; ValueError or OSError for other content."""
    array = npy.open_memmap(path, mode="r")  # unpickles nothing
    if array.dtype != np.uint8 or array.ndim != 4 or not array.flags.c_contiguous:
        raise ValueError(f"it holds {array.dtype} {array.shape}, no images")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        images = torch.from_numpy(array)
    assert isinstance(array.base, mmap.mmap)
    _maps[images.data_ptr()] = array.base
    return images


def advise_random(images: Tensor) -> None:
    """Tell the system that mapped images (N, …) are read in random order, so that it reads no megabytes around them."""
    _advise(images, 0, images.nbytes, "MADV_RANDOM")


def read_ahead(images: Tensor, rows: NDArray[np.int64]) -> None:
    """Ask the system to read rows of mapped images (N, …), without waiting: a disk is faster at many at a time."""
    size = images[0].nbytes
    for row in np.sort(rows).tolist():
        _advise(images, row * size, size, "MADV_WILLNEED")


def _advise(images: Tensor, start: int, length: int, name: str) -> None:
    storage = images.untyped_storage()
    content, advice = _maps.get(storage.data_ptr()), getattr(mmap, name, None)
    if content is None or advice is None:  # in memory, or on Windows
        return
    start += len(content) - storage.nbytes() + images.data_ptr() - storage.data_ptr()  # the images end the file
    before = start % mmap.PAGESIZE
    with suppress(OSError):  # refused advice costs only time
        content.madvise(advice, start - before, length + before)
