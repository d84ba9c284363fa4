"""The copy of CIFAR-10 on the Hub, in parquet files: download it, check it and keep it as arrays."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colornet.data.download import LARGEST, DownloadError, download
from colornet.data.parquet import has_pyarrow, read_rows
from colornet.errors import InputError
from colornet.files import replacing
from colornet.metrics.evaluator import CIFAR10_CLASSES

_FILES = {"train": "plain_text/train-00000-of-00001.parquet", "test": "plain_text/test-00000-of-00001.parquet"}
_KEPT = "cifar10.npz"

# What is published of the original's batches, 10,000 images each. The first labels tell them from each other: a copy
# may have them in another order, such as that of the files in the archive.
_BATCH = 10_000
_FIRST_LABELS = {
    "train": ("6994112783", "1668834606", "8506928362", "0602721241", "1851574382"),
    "test": ("3880661631",),
}
# The exact sums of all red, green and blue values, and of their squares. They follow from the means and standard
# deviations that many programs print with 16 digits.
_SUMS = {
    "train": (
        (6_415_714_204, 6_295_060_180, 5_829_907_619),
        (1_007_102_432_534, 971_356_520_230, 891_641_299_129),
    ),
    "test": ((1_290_492_328, 1_266_775_083, 1_176_108_223), (203_142_822_772, 195_994_125_155, 180_646_015_723)),
}


class Part(NamedTuple):
    """Images (N, 32, 32, 3), uint8, in the order of the original, and their classes (N,), int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Original(NamedTuple):
    """CIFAR-10 in the order of its batches."""

    train: Part
    test: Part
    classes: tuple[str, ...]


def read_copy(root: Path) -> Original | None:
    """Read what was kept of the copy; None if it is missing or damaged."""
    try:
        with np.load(root / _KEPT, allow_pickle=False) as arrays:  # a zip file, whose members have checksums
            train, test = (Part(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in _FILES)
            return Original(train, test, CIFAR10_CLASSES)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def download_copy(root: Path, progress: bool) -> Original:
    """Download the copy to a folder, and keep its images as arrays once they are found to be the original's.

    Raises DownloadError.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    source = f"{endpoint}/datasets/uoft-cs/cifar10"
    parts = {}
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise DownloadError("HF_HUB_OFFLINE is set")
        if not has_pyarrow():
            raise DownloadError("its files need pyarrow, which is not installed (pip install pyarrow)")
        for part, file in _FILES.items():
            path = root / Path(file).name
            if not path.exists():
                download(f"{source}/resolve/main/{file}", path, largest=LARGEST, progress=progress)
            try:
                parts[part] = _check(part, _decode(path))
            except (InputError, OSError, ValueError) as error:
                path.unlink()
                raise DownloadError(
                    f"its {part} images are not those of CIFAR-10 ({str(error).rstrip('.')})"
                ) from error
    except DownloadError as error:
        raise DownloadError(f"{source}: {error}") from error
    arrays = {f"{name}_{kind}": array for name, part in parts.items() for kind, array in part._asdict().items()}
    with replacing(root / _KEPT) as temporary:
        np.savez(temporary, **arrays)
    for file in _FILES.values():
        (root / Path(file).name).unlink()
    return Original(**parts, classes=CIFAR10_CLASSES)


def _decode(path: Path) -> Part:
    """Decode the PNG images of a parquet file; InputError, OSError or ValueError for anything else."""
    images, labels = [], []
    for row in read_rows(path):
        with Image.open(io.BytesIO(row.image), formats=["PNG"]) as image:
            if (image.mode, image.size) != ("RGB", (32, 32)):
                raise ValueError(f"an image is {image.mode} {image.size}")
            images.append(np.asarray(image))
        labels.append(CIFAR10_CLASSES.index(row.label or ""))
    return Part(np.stack(images), np.array(labels, np.int64))


def _check(name: str, part: Part) -> Part:
    """Return the images of a part in the order of the original; ValueError if they differ from what is known of it."""
    firsts = _FIRST_LABELS[name]
    if len(part.images) != len(firsts) * _BATCH:
        raise ValueError(f"{len(part.images):,} images")
    found = ["".join(map(str, part.labels[start : start + 10])) for start in range(0, len(part.labels), _BATCH)]
    if sorted(found) != sorted(firsts) or len(set(np.bincount(part.labels, minlength=10))) > 1:
        raise ValueError("other classes")
    values = np.arange(256, dtype=np.int64)
    counts = [np.bincount(part.images[..., channel].ravel(), minlength=256) for channel in range(3)]
    if tuple(tuple(int((count * powers).sum()) for count in counts) for powers in (values, values**2)) != _SUMS[name]:
        raise ValueError("other pixels")
    order = np.concatenate([np.arange(_BATCH) + _BATCH * found.index(first) for first in firsts])
    return Part(part.images[order], part.labels[order])
