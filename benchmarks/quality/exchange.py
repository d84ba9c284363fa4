"""Exchange of images with other programs, as CLASS/NNNN.png: the gray inputs of the protocol, and their colorings."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colornet.color import lightness_input, to_float, to_uint8
from colornet.data.images import open_rgb, to_chw
from colornet.errors import InputError


def gray_images(images: Tensor) -> Tensor:
    """Return the gray version (N, 3, H, W) of uint8 images whose L* is theirs at 8 bits, as 8-bit sRGB."""
    return torch.cat([to_uint8(lightness_input(to_float(batch))) for batch in images.split(500)])


def write_images(folder: Path, images: Tensor, labels: Tensor | None, classes: Sequence[str]) -> None:
    """Write gray images (N, 3, H, W) as 8-bit PNG files, numbered within each class."""
    for path, image in zip(_paths(folder, len(images), labels, classes), images, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(path)


def read_images(folder: Path, truth: Tensor, labels: Tensor | None, classes: Sequence[str]) -> Tensor:
    """Read the colorings of all images of `truth` (N, 3, H, W): uint8 of the same shape.

    Raises InputError, which names the first file concerned, where one is missing, unreadable or of another size.
    """
    paths = _paths(folder, len(truth), labels, classes)
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError(
            f"--images {folder} lacks {len(missing):,} of {len(paths):,} images, the first is "
            f"{missing[0].relative_to(folder)}: color every file that --write-inputs wrote, and keep its name."
        )
    height, width = truth.shape[-2:]
    pixels = np.empty(tuple(truth.shape), np.uint8)
    for index, path in enumerate(paths):
        try:
            image = open_rgb(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error}): write it again.") from error
        if image.size != (width, height):
            raise InputError(f"{path} has {image.width}×{image.height} pixels: it must have {width}×{height}.")
        pixels[index] = to_chw(image)
    return torch.from_numpy(pixels)


def _paths(folder: Path, count: int, labels: Tensor | None, classes: Sequence[str]) -> list[Path]:
    """List where each image is: CLASS/NNNN.png, counted within its class, or images/NNNN.png where there is none."""
    if labels is None:
        return [folder / "images" / f"{index:04d}.png" for index in range(count)]
    numbers = [itertools.count() for _ in classes]
    return [folder / classes[label] / f"{next(numbers[label]):04d}.png" for label in labels.tolist()]
