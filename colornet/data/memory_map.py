"""Images that stay in their file: mapped into memory, read by whoever needs them, kept there by the page cache."""

from __future__ import annotations

import ctypes
import json
import mmap
import struct
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["advise_random", "map_images", "read_ahead"]

_HAS_ADVICE = hasattr(mmap, "MADV_WILLNEED")  # not on Windows
_PAGE = mmap.PAGESIZE


def map_images(path: Path) -> dict[str, Tensor]:
    """Map the uint8 tensors of a safetensors file into memory, by their names; they must not be written to.

    The map is read-only. That of safetensors itself is copy-on-write, for which Linux wants to have as much memory as
    the file is long. Raises ValueError or KeyError for a file that is not of this format.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "U8":
            continue
        start, stop = entry["data_offsets"]
        pixels = np.frombuffer(content, np.uint8, stop - start, 8 + length + start)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            tensors[name] = torch.from_numpy(pixels.reshape(entry["shape"]))
    return tensors


def advise_random(images: Tensor) -> None:
    """Tell the system that mapped images (N, …) will be read in no order: it reads nothing around them then.

    What it would read is up to some megabytes, for an image of 3 kB.
    """
    if _HAS_ADVICE:
        _advise(images.data_ptr(), images.nbytes, mmap.MADV_RANDOM)


def read_ahead(images: Tensor, rows: NDArray[np.int64]) -> None:
    """Ask the system for some of the images (N, …) of a map, without waiting for them: a disk is faster at many.

    Of images that are in memory already this does nothing.
    """
    if not _HAS_ADVICE:
        return
    first, size = images.data_ptr(), images[0].nbytes
    for row in np.sort(rows).tolist():
        _advise(first + row * size, size, mmap.MADV_WILLNEED)


def _advise(address: int, length: int, advice: int) -> None:
    # By address, since a tensor does not know the map that it lies in. Advice that is refused costs only time.
    before = address % _PAGE
    _madvise(address - before, length + before, advice)


if _HAS_ADVICE:
    _madvise = ctypes.CDLL(None).madvise
    _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
