"""Which images of a data set validate and which test: one rule for CIFAR-10 and for folders, without torch."""

from __future__ import annotations

from colornet.errors import InputError


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
