"""Any folder of images as a data set: found, decoded in parallel, split, and kept in the cache."""

from __future__ import annotations

import dataclasses
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from colornet.data.cache import cache_key, make_folder, read_parts, write_parts
from colornet.data.images import fit_square, open_rgb, to_chw
from colornet.data.listing import ImageFile, list_images, part_folders
from colornet.data.split import Labels, Parts, split_train, split_whole
from colornet.errors import InputError, printable

__all__ = ["load_folder"]

_NAMES_SHOWN = 5
_FILES_PER_TASK = 16
_SMALL_FILE = 8192  # bytes; below it threads only wait for Python's lock: 16 of them take 3 times as long as one

_logger = logging.getLogger("colornet.data")


def load_folder(folder: Path, image_size: int, cache_dir: Path, progress: bool) -> Parts:
    """Load the images of a folder, their shorter side resized to `image_size` pixels and the centre cut out.

    Subfolders `train`, `test` and `validation` (or `val`) are taken as the parts; otherwise every tenth image is for
    test and every tenth for validation. Files that cannot be read are left out with a warning on the logger
    "colornet.data". Raises InputError where too few images remain or the cache cannot be written.
    """
    sources = {part: list_images(folder, below) for part, below in part_folders(folder).items()}
    key = cache_key([file for files in sources.values() for file in files], image_size)
    path = cache_dir / "decoded" / f"{key}.safetensors"
    cached = read_parts(path)
    if cached is None:
        make_folder(path.parent)  # before the work, not after it
        cached = _decode_parts(folder, sources, image_size, progress)
        write_parts(path, folder.resolve().name, *cached)
    parts, unreadable = cached
    if unreadable:
        names = ", ".join(unreadable[:_NAMES_SHOWN]) + (", …" if len(unreadable) > _NAMES_SHOWN else "")
        _logger.warning(
            "Left out %d file(s) of '%s' that cannot be read: %s", len(unreadable), folder, printable(names)
        )
    return parts


def _decode_parts(
    folder: Path, sources: dict[str, list[ImageFile]], image_size: int, progress: bool
) -> tuple[Parts, list[str]]:
    images: dict[str, Tensor] = {}
    names: dict[str, list[str]] = {}
    unreadable: list[str] = []
    below = part_folders(folder)
    for part, files in sources.items():
        images[part], failed = _decode(folder, files, image_size, progress)
        if len(failed) == len(files):
            raise InputError(f"Folder '{folder}' is no data set: none of its {len(files)} {part} images can be read.")
        unreadable += failed
        lost = set(failed)
        names[part] = [file.name.removeprefix(below[part] + "/") for file in files if file.name not in lost]
    parts = _split(images, folder)
    return dataclasses.replace(parts, labels=_labels(names, folder)), unreadable


def _labels(names: dict[str, list[str]], folder: Path) -> Labels | None:
    """Take the first folder of every path within its part as the image's class; None unless all images have one."""
    folders = {part: [name.rpartition("/")[0].partition("/")[0] for name in listed] for part, listed in names.items()}
    classes = sorted({name for listed in folders.values() for name in listed})
    if "" in classes:
        return None
    positions = {part: torch.tensor([classes.index(name) for name in listed]) for part, listed in folders.items()}
    labels = _split(positions, folder)
    return Labels(tuple(classes), labels.train, labels.validation, labels.test)


def _split(images: dict[str, Tensor], folder: Path) -> Parts:
    """Make three parts of the images (N, 3, H, W), or of the labels (N,), of the parts that the folder has."""
    if "all" in images:
        return split_whole(images["all"], f"Folder '{folder}'")
    if "validation" in images:
        return Parts(images["train"], images["validation"], images["test"])
    train, validation = split_train(images["train"], f"Folder '{folder / 'train'}'")
    return Parts(train, validation, images["test"])


def _decode(folder: Path, files: list[ImageFile], image_size: int, progress: bool) -> tuple[Tensor, list[str]]:
    """Decode files to (N, 3, image_size, image_size) and return the names of those that cannot be."""
    pixels = np.empty((len(files), 3, image_size, image_size), np.uint8)

    def decode(index: int) -> bool:
        try:
            # Twice the size is left to the resampling filter; decoding more of a large JPEG changes nothing visible.
            image = open_rgb(folder / files[index].name, shorter_side=2 * image_size)
        except OSError:
            return False
        pixels[index] = to_chw(fit_square(image, image_size))
        return True

    def decode_many(start: int) -> list[bool]:
        return [decode(index) for index in range(start, min(start + _FILES_PER_TASK, len(files)))]

    small = sum(file.size for file in files) < _SMALL_FILE * len(files)
    readable: list[bool] = []
    # Threads, not processes: Pillow decodes photographs without the lock, and CUDA does not survive a fork.
    with (
        ThreadPoolExecutor(1 if small else os.cpu_count()) as pool,
        tqdm(total=len(files), desc="Decoding", unit="images", disable=None if progress else True) as bar,
    ):
        for done in pool.map(decode_many, range(0, len(files), _FILES_PER_TASK)):
            readable += done
            bar.update(len(done))
    if not all(readable):
        pixels = pixels[readable]
    return torch.from_numpy(pixels), [file.name for file, done in zip(files, readable, strict=True) if not done]
