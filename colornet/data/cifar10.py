"""CIFAR-10 (Krizhevsky, 2009), downloaded once: https://www.cs.toronto.edu/~kriz/cifar.html."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity

from colornet.data.cache import make_folder
from colornet.data.cifar10_copy import Original, Part, download_copy, read_copy
from colornet.data.download import LARGEST, DownloadError, download, one_process
from colornet.data.images import fit_square
from colornet.data.splits import Dataset, Labels, fingerprint, split_train
from colornet.errors import InputError


def load_cifar10(image_size: int, cache_dir: Path, progress: bool) -> Dataset:
    """Load CIFAR-10 from `cache_dir`/cifar10, downloading it if necessary: 45,000 / 5,000 / 10,000 images.

    They are ordered by class, so that a copy of CIFAR-10 as an image folder is the same data set. Raises InputError if
    the images are missing and cannot be downloaded.
    """
    original = fetch_cifar10(cache_dir, progress)
    (train, train_labels), (test, test_labels) = (
        _by_class(part, image_size) for part in (original.train, original.test)
    )
    parts = *split_train(train, "CIFAR-10"), test
    labels = Labels(original.classes, *split_train(train_labels, "CIFAR-10"), test_labels)
    return Dataset("cifar10", *parts, fingerprint(*parts), labels)


def fetch_cifar10(cache_dir: Path, progress: bool) -> Original:
    """Return CIFAR-10 as it is in `cache_dir`/cifar10, after a download if it is not there.

    One process downloads and the others wait for it. The first source that delivers is taken: the original archive,
    which is checked by its md5, then the copy on the Hub, of which no checksum is published. Its images are compared
    with what is known of the original: number, classes, the first labels of each batch, and the exact sums of each
    channel's values and squares. This finds damaged, compressed, rescaled or exchanged images, not a forgery. Raises
    InputError, which names each source and why it failed.
    """
    root = cache_dir / "cifar10"
    if (found := _read(root)) is not None:
        return found
    make_folder(root)
    with one_process(root):
        if (found := _read(root)) is not None:  # another process has downloaded it
            return found
        failures = []
        for download_from_source in (_download_archive, download_copy):
            try:
                return download_from_source(root, progress)
            except DownloadError as error:
                failures.append(str(error))
    advice = f"put {CIFAR10.filename} there yourself, or use --data FOLDER with your own images or --data sample"
    raise InputError(f"CIFAR-10 is not in '{root}' and cannot be downloaded ({'; '.join(failures)}): {advice}.")


def _read(root: Path) -> Original | None:
    """Read the original batches, or else what was kept of the Hub's copy; None if both are missing or damaged."""
    try:
        return _read_batches(root)
    except (RuntimeError, OSError):
        return read_copy(root)


def _read_batches(root: Path, *, unpack: bool = False) -> Original:
    """Read the original batches, after unpacking their archive or not; RuntimeError or OSError if one is damaged."""
    train, test = (CIFAR10(root, train=train, download=unpack) for train in (True, False))
    parts = [Part(part.data, np.array(part.targets, np.int64)) for part in (train, test)]
    return Original(parts[0], parts[1], tuple(train.classes))


def _download_archive(root: Path, progress: bool) -> Original:
    path = root / CIFAR10.filename
    try:
        if not check_integrity(str(path), CIFAR10.tgz_md5):
            download(CIFAR10.url, path, largest=LARGEST, progress=progress)
            if not check_integrity(str(path), CIFAR10.tgz_md5):
                path.unlink()
                raise DownloadError("its md5 is not that of the archive")
    except DownloadError as error:
        raise DownloadError(f"{CIFAR10.url}: {error}") from error
    return _read_batches(root, unpack=True)


def _by_class(part: Part, image_size: int) -> tuple[Tensor, Tensor]:
    """Return the images ordered by class, uint8 (N, 3, image_size, image_size), and their classes, int64 (N,)."""
    labels, order = torch.from_numpy(part.labels).sort(stable=True)
    pixels = part.images[order.numpy()]  # (N, 32, 32, 3)
    if image_size != pixels.shape[1]:
        pixels = np.stack([np.asarray(fit_square(Image.fromarray(image), image_size)) for image in pixels])
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))), labels  # (N, 3, side, side), (N,)
