"""Count the images of a data set and divide their numbers into parts, without torch and without decoding anything."""

from __future__ import annotations

import itertools
from functools import cache

from colornet.data.layout import part_folders
from colornet.data.listing import iter_images
from colornet.errors import InputError
from colornet.files import expanded

CIFAR10_SIZES = {"train": 45_000, "validation": 5_000, "test": 10_000}


def count_images(data: str, *, image_size: int, at_most: int | None = None) -> dict[str, int]:
    """Return how many images a data set has for each part, given that all files of a folder can be read.

    Of a folder, `at_most` so many files of each subfolder are counted: a large folder takes no longer. Raises
    InputError for a data set with too few of them.
    """
    if data == "cifar10":
        return CIFAR10_SIZES
    if data == "sample":
        return _sample_sizes(image_size)
    folder = expanded(data)
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


def validation_positions(count: int, source: str) -> list[int]:
    """Return which of so many training images, ordered by class, validate: every tenth, or else the last.

    The order makes the split stratified. Raises InputError, which names `source`, for fewer than two.
    """
    if count < 2:
        needed = "for training and validation: at least 2 are needed"
        raise InputError(f"{source} holds {count} readable image(s) {needed}.")
    return list(range(9, count, 10)) or [count - 1]


def whole_positions(count: int, source: str) -> tuple[list[int], list[int]]:
    """Return which of so many images, ordered by class, validate and which test; the rest trains.

    Images 9, 19, … test, 4, 14, … validate. Of fewer than ten the last one tests and the middle one validates. Raises
    InputError, which names `source`, for fewer than three.
    """
    if count < 3:
        needed = "at least 3 are needed, for training, validation and test"
        raise InputError(f"{source} holds {count} readable image(s): {needed}.")
    return list(range(4, count, 10)) if count >= 10 else [count // 2], list(range(9, count, 10)) or [count - 1]


def check_batch(batch_size: int, images: int) -> None:
    """Raise InputError for a batch of more than all training images, of which there are so many."""
    if batch_size > images:
        raise InputError(f"Batch size {batch_size} exceeds the {images} training images: choose {images} or less.")
