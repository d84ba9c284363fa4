"""The data set class, and the rule by which images are split: one for CIFAR-10 and for folders."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from colornet.errors import InputError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Labels:
    """The class of every image of the three parts, int64 (N,) each: positions in `classes`."""

    classes: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor


@dataclass(frozen=True)
class Dataset:
    """Square RGB images in three disjoint parts, uint8 (N, 3, H, W) each, in CPU memory.

    Those of a folder are mapped from the cache's file, may be more than memory holds, and must not be written to.
    `name` is "cifar10", "sample" or the folder's name; `fingerprint` is a sha256 of all pixels; `labels` is None where
    the images are not sorted into classes.
    """

    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    fingerprint: str
    labels: Labels | None = None


def fingerprint(train: Tensor, validation: Tensor, test: Tensor) -> str:
    """Return the sha256 of the names, shapes and pixels of three parts (N, 3, H, W), in hexadecimal."""
    digest = hashlib.sha256()
    for name, images in zip(PARTS, (train, validation, test), strict=True):
        digest.update(f"{name} {tuple(images.shape)}\n".encode())
        digest.update(images.contiguous().numpy().data)
    return digest.hexdigest()


def split_train(images: Tensor, source: str) -> tuple[Tensor, Tensor]:
    """Split images (N, 3, H, W), or their labels, ordered by class: every tenth validates, or else the last.

    The order makes the split stratified. Raises InputError, which names `source`, for fewer than two.
    """
    if len(images) < 2:
        needed = "for training and validation: at least 2 are needed"
        raise InputError(f"{source} holds {len(images)} readable image(s) {needed}.")
    validation = list(range(9, len(images), 10)) or [len(images) - 1]
    return images[_all_but(validation, len(images))], images[validation]


def split_whole(images: Tensor, source: str) -> tuple[Tensor, Tensor, Tensor]:
    """Split images (N, 3, H, W), or their labels, ordered by class, into those to train, validate and test.

    Images 9, 19, … test, 4, 14, … validate, the rest trains. Of fewer than ten the last one tests and the middle one
    validates. Raises InputError, which names `source`, for fewer than three.
    """
    count = len(images)
    if count < 3:
        needed = "at least 3 are needed, for training, validation and test"
        raise InputError(f"{source} holds {count} readable image(s): {needed}.")
    test = list(range(9, count, 10)) or [count - 1]
    validation = list(range(4, count, 10)) if count >= 10 else [count // 2]
    return images[_all_but(test + validation, count)], images[validation], images[test]


def _all_but(positions: list[int], count: int) -> Tensor:
    return torch.from_numpy(np.delete(np.arange(count), positions))
