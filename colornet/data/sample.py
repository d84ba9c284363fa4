# mypy: allow-untyped-calls
"""A small data set without a download: patches of the photographs that come with scikit-image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import skimage.data
import torch
from PIL import Image

from colornet.data.images import to_chw
from colornet.data.split import Parts
from colornet.errors import InputError

__all__ = ["load_sample"]

_BLOCK = 3  # side of a block in units of image_size; a patch is 1, 2 or 3 units wide
_EVERY = 6  # of this many blocks one is for validation and one for test
_VALIDATION, _TEST = 2, 5


def load_sample(image_size: int) -> Parts:
    """Cut five photographs into patches of `image_size` pixels: 2,400 / 600 / 600 of them at 32.

    Each photograph is divided into disjoint square blocks, a block belongs to one part, and every patch lies within a
    block: nothing leaks from one part to another. Raises InputError where the photographs are too small.
    """
    photos = _photos()
    if _count_blocks(photos, image_size) < _EVERY:
        largest = next(size for size in range(image_size, 0, -1) if _count_blocks(photos, size) >= _EVERY)
        raise InputError(
            f"Data set 'sample' has no images of {image_size} pixels: choose an image size of at most {largest}, "
            "or your own folder of photographs."
        )
    parts: list[list[np.ndarray]] = [[], [], []]
    number = 0
    for photo in photos:
        for block in _blocks(photo, image_size):
            part = {_VALIDATION: 1, _TEST: 2}.get(number % _EVERY, 0)
            parts[part].extend(to_chw(patch) for patch in _patches(block, image_size))
            number += 1
    return Parts(*(torch.from_numpy(np.stack(part)) for part in parts))


def _photos() -> list[Image.Image]:
    # These are in scikit-image's wheel, so its downloader has nothing to do.
    left, _, _ = skimage.data.stereo_motorcycle()
    others = (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket())
    return [Image.fromarray(pixels) for pixels in (*others, left)]


def _count_blocks(photos: list[Image.Image], image_size: int) -> int:
    side = _BLOCK * image_size
    return sum((photo.width // side) * (photo.height // side) for photo in photos)


def _blocks(photo: Image.Image, image_size: int) -> Iterator[Image.Image]:
    """Yield the blocks diagonal by diagonal: row by row, every sixth of six columns would be one column."""
    side = _BLOCK * image_size
    grid = np.ndindex(photo.height // side, photo.width // side)
    for row, column in sorted(grid, key=lambda place: (sum(place), place)):
        yield photo.crop((column * side, row * side, (column + 1) * side, (row + 1) * side))


def _patches(block: Image.Image, image_size: int) -> Iterator[Image.Image]:
    """Yield the patches 1, 2 and 3 units wide, half a patch apart, as images of `image_size` pixels."""
    for scale in range(1, _BLOCK + 1):
        side = scale * image_size
        starts = range(0, block.width - side + 1, max(side // 2, 1))
        for top in starts:
            for left in starts:
                patch = block.crop((left, top, left + side, top + side))
                yield patch.resize((image_size, image_size), Image.Resampling.BICUBIC)
