"""Count the images of a data set, without decoding anything, and those of a folder without torch."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

from colornet.data.layout import part_folders
from colornet.data.listing import default_cache_dir, iter_images
from colornet.data.positions import validation_positions, whole_positions
from colornet.environment import is_quiet
from colornet.errors import InputError
from colornet.files import expanded
from colornet.hub import is_hub_name

CIFAR10_SIZES = {"train": 45_000, "validation": 5_000, "test": 10_000}


def count_images(
    data: str, *, image_size: int, at_most: int | None = None, cache_dir: str | None = None
) -> dict[str, int]:
    """Return how many images a data set has for each part, given that all files of a folder can be read.

    Of a folder, `at_most` so many files of each subfolder are counted: a large folder takes no longer. A data set of
    the Hub is downloaded to be counted, unless it is in the caches, of which `cache_dir` is ours. Raises InputError for
    a data set that cannot be downloaded or has too few images.
    """
    if data == "cifar10":
        return CIFAR10_SIZES
    if data == "sample":
        return _sample_sizes(image_size)
    folder = _hub_folder(data, cache_dir) if is_hub_name(data) else expanded(data)
    found = {
        part: sum(1 for _ in itertools.islice(iter_images(folder, below), at_most))
        for part, below in part_folders(folder).items()
    }
    if "all" in found:
        validation, test = whole_positions(found["all"], f"Folder '{folder}'")
        held_out = {"validation": len(validation), "test": len(test)}
        return {"train": found["all"] - sum(held_out.values()), **held_out}
    if "validation" not in found:
        found["validation"] = len(validation_positions(found["train"], f"Folder '{folder / 'train'}'"))
        found["train"] -= found["validation"]
    return {part: found[part] for part in CIFAR10_SIZES}


@cache
def _sample_sizes(image_size: int) -> dict[str, int]:
    from colornet.data.sample import load_sample  # imports torch

    dataset = load_sample(image_size)
    return {part: len(getattr(dataset, part)) for part in CIFAR10_SIZES}


@cache  # a process asks the Hub once
def _hub_folder(data: str, cache_dir: str | None) -> Path:
    from colornet.data.hub import fetch_hub_dataset  # imports torch

    return fetch_hub_dataset(data, Path(cache_dir) if cache_dir else default_cache_dir(), progress=not is_quiet())


def check_batch(batch_size: int, images: int) -> None:
    """Raise InputError for a batch of more than all training images, of which there are so many."""
    if batch_size > images:
        raise InputError(f"Batch size {batch_size} exceeds the {images} training images: choose {images} or less.")
