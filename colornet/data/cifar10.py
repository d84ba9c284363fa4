"""CIFAR-10 (Krizhevsky, 2009), downloaded once: https://www.cs.toronto.edu/~kriz/cifar.html."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext, redirect_stderr
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import CIFAR10

from colornet.data.cache import make_folder
from colornet.data.images import fit_square
from colornet.data.splits import Dataset, Labels, fingerprint, split_train
from colornet.errors import InputError


def load_cifar10(image_size: int, cache_dir: Path, progress: bool) -> Dataset:
    """Load CIFAR-10 from `cache_dir`/cifar10, downloading it if necessary: 45,000 / 5,000 / 10,000 images.

    They are ordered by class, so that a copy of CIFAR-10 as an image folder is the same data set. Raises InputError if
    the images are missing and cannot be downloaded.
    """
    root = cache_dir / "cifar10"
    try:
        train_set = CIFAR10(root, train=True)
    except (RuntimeError, OSError):  # missing or damaged
        _download(root, progress)
        train_set = CIFAR10(root, train=True)
    test_set = CIFAR10(root, train=False)
    (train, train_labels), (test, test_labels) = (_by_class(source, image_size) for source in (train_set, test_set))
    parts = *split_train(train, "CIFAR-10"), test
    labels = Labels(tuple(train_set.classes), *split_train(train_labels, "CIFAR-10"), test_labels)
    return Dataset("cifar10", *parts, fingerprint(*parts), labels)


def _download(root: Path, progress: bool) -> None:
    make_folder(root)
    show = progress and sys.stderr.isatty()
    try:
        with nullcontext() if show else redirect_stderr(io.StringIO()):  # torchvision always draws a bar
            CIFAR10(root, download=True)
    except (OSError, HTTPException, RuntimeError, EOFError) as error:
        advice = f"put {CIFAR10.filename} there yourself, or use --data FOLDER with your own images or --data sample"
        raise InputError(f"CIFAR-10 is not in '{root}' and cannot be downloaded ({error}): {advice}.") from error


def _by_class(source: CIFAR10, image_size: int) -> tuple[Tensor, Tensor]:
    """Return the images ordered by class, uint8 (N, 3, image_size, image_size), and their classes, int64 (N,)."""
    labels, order = torch.tensor(source.targets).sort(stable=True)
    pixels = source.data[order.numpy()]  # (N, 32, 32, 3)
    if image_size != pixels.shape[1]:
        pixels = np.stack([np.asarray(fit_square(Image.fromarray(image), image_size)) for image in pixels])
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))), labels  # (N, 3, side, side), (N,)
