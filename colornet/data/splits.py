"""Which image belongs to which part of a data set: one rule for CIFAR-10 and for folders."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from colornet.errors import InputError

__all__ = ["Labels", "Parts", "split_train", "split_whole"]


@dataclass(frozen=True)
class Labels:
    """The class of every image of the three parts, int64 (N,) each: positions in `classes`."""

    classes: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor


@dataclass(frozen=True)
class Parts:
    """The three parts of a data set, uint8 (N, 3, H, W) each, and the classes where there are any."""

    train: Tensor
    validation: Tensor
    test: Tensor
    labels: Labels | None = None

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the parts' names, shapes and pixels, in hexadecimal; labels do not count."""
        digest = hashlib.sha256()
        for name in ("train", "validation", "test"):
            images: Tensor = getattr(self, name)
            digest.update(f"{name} {tuple(images.shape)}\n".encode())
            digest.update(images.contiguous().numpy().data)
        return digest.hexdigest()


def split_train(images: Tensor, source: str) -> tuple[Tensor, Tensor]:
    """Split images (N, 3, H, W), or their labels, ordered by class: every tenth validates, or else the last.

    The order makes it stratified: exactly so where every class has a multiple of ten images. Raises InputError, which
    names `source`, for fewer than two.
    """
    if len(images) < 2:
        raise InputError(
            f"{source} holds {len(images)} readable image(s) for training and validation: at least 2 are needed."
        )
    return _take_out(images, list(range(9, len(images), 10)) or [len(images) - 1])


def split_whole(images: Tensor, source: str) -> Parts:
    """Split images (N, 3, H, W), or their labels, ordered by class: 9, 19, … test, 4, 14, … validate, the rest trains.

    Of fewer than ten images the last one tests and the middle one validates. Raises InputError, which names `source`,
    for fewer than three.
    """
    count = len(images)
    if count < 3:
        raise InputError(
            f"{source} holds {count} readable image(s): at least 3 are needed, for training, validation and test."
        )
    test = list(range(9, count, 10)) or [count - 1]
    validation = list(range(4, count, 10)) if count >= 10 else [count // 2]
    train, _ = _take_out(images, test + validation)
    return Parts(train=train, validation=images[validation], test=images[test])


def _take_out(images: Tensor, positions: list[int]) -> tuple[Tensor, Tensor]:
    kept = np.delete(np.arange(len(images)), positions)
    return images[torch.from_numpy(kept)], images[positions]
