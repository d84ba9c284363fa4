# mypy: allow-untyped-calls
"""A small data set without a download: patches of the photographs that come with scikit-image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image

from colornet.data.images import fit_square, to_chw
from colornet.data.splits import Dataset, fingerprint
from colornet.errors import InputError

_BLOCK = 3  # side of a block in units of image_size; a patch is 1, 2 or 3 units wide
_EVERY = 6  # of this many blocks one is for validation and one for test
_PARTS = {2: 1, 5: 2}  # which of them; the rest, part 0, trains


def load_sample(image_size: int) -> Dataset:
    """Cut five photographs into patches of `image_size` pixels: 2,430 / 600 / 570 of them at 32.

    Each photograph is divided into disjoint square blocks, a block belongs to one part, and every patch lies within a
    block: nothing leaks from one part to another. Raises InputError if the photographs are too small.
    """
    photos = list(sample_photos().values())
    largest = next(size for size in range(image_size, 0, -1) if sum(map(math.prod, _grids(photos, size))) >= _EVERY)
    if largest < image_size:
        advice = f"choose an image size of at most {largest}, or your own folder of photographs"
        raise InputError(f"Data set 'sample' has no images of {image_size} pixels: {advice}.")
    parts: list[list[NDArray[np.uint8]]] = [[], [], []]
    first = 0  # the number of the photograph's first block
    for photo, (rows, columns) in zip(photos, _grids(photos, image_size), strict=True):
        for row, column in np.ndindex(rows, columns):
            # Shifted by two in each row: otherwise, every sixth block of six columns would be one column.
            part = _PARTS.get((first + column + 2 * row) % _EVERY, 0)
            parts[part].extend(_patches(photo, row, column, image_size))
        first += rows * columns
    train, validation, test = (torch.from_numpy(np.stack(part)) for part in parts)
    return Dataset("sample", train, validation, test, fingerprint(train, validation, test))


def sample_photos() -> dict[str, Image.Image]:
    """Return the five color photographs that come with scikit-image, 300 to 512 pixels on their shorter side."""
    # These are in scikit-image's wheel, so its downloader has nothing to do.
    others = {name: getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea", "rocket")}
    photos = others | {"motorcycle": skimage.data.stereo_motorcycle()[0]}
    return {name: Image.fromarray(pixels) for name, pixels in photos.items()}


def _grids(photos: list[Image.Image], image_size: int) -> list[tuple[int, int]]:
    """Return how many blocks fit into each photograph from top to bottom and from left to right."""
    side = _BLOCK * image_size
    return [(photo.height // side, photo.width // side) for photo in photos]


def _patches(photo: Image.Image, row: int, column: int, image_size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield a block's patches 1, 2 and 3 units wide, half a patch apart, as (3, image_size, image_size)."""
    block = _BLOCK * image_size
    for side in range(image_size, block + 1, image_size):
        starts = range(0, block - side + 1, max(side // 2, 1))
        for top, left in product(starts, starts):
            x, y = column * block + left, row * block + top
            # Cropped before it is resized: resizing with a box reads pixels outside of it, thus of other parts.
            yield to_chw(fit_square(photo.crop((x, y, x + side, y + side)), image_size))
