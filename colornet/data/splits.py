"""The data set class, and the rule by which images are split: one for CIFAR-10 and for folders."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from colornet.data.positions import validation_positions, whole_positions

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
    """Split images (N, 3, H, W), or their labels, ordered by class, as `validation_positions` says."""
    validation = validation_positions(len(images), source)
    return images[_all_but(validation, len(images))], images[validation]


def split_whole(images: Tensor, source: str) -> tuple[Tensor, Tensor, Tensor]:
    """Split images (N, 3, H, W), or their labels, ordered by class, as `whole_positions` says, into three parts."""
    validation, test = whole_positions(len(images), source)
    return images[_all_but(test + validation, len(images))], images[validation], images[test]


def _all_but(positions: list[int], count: int) -> Tensor:
    return torch.from_numpy(np.delete(np.arange(count), positions))
