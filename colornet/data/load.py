"""A data set: the uint8 images to train, validate and test on, by name or from a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from colornet.data.check import KNOWN_DATASETS, check_dataset, default_cache_dir
from colornet.data.splits import Labels, Parts

__all__ = ["Dataset", "load_dataset"]


@dataclass(frozen=True)
class Dataset:
    """Square RGB images in three disjoint parts, uint8 (N, 3, H, W) each, in CPU memory.

    Those of a folder are mapped from the cache's file, may be more than memory holds, and must not be written to.
    `labels` is None where the images are not sorted into classes.

    `name` is "cifar10", "sample" or the folder's name; `fingerprint` is a sha256 of all pixels and tells whether two
    runs saw the same images.
    """

    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    fingerprint: str
    labels: Labels | None = None


def load_dataset(data: str, *, image_size: int, cache_dir: Path | None = None, progress: bool = False) -> Dataset:
    """Load "cifar10", "sample" or any folder of images, resized and cropped to squares of `image_size` pixels.

    CIFAR-10 is downloaded to `cache_dir` once, folders are decoded once and kept there; the default is
    `default_cache_dir()`. `progress` shows bars where stderr is a terminal. Raises InputError for data that cannot be
    found or used.
    """
    check_dataset(data)
    cache_dir = cache_dir or default_cache_dir()
    name, parts = data, _load_parts(data, image_size, cache_dir, progress)
    if data not in KNOWN_DATASETS:
        name = Path(data).expanduser().resolve().name
    return Dataset(name, parts.train, parts.validation, parts.test, parts.fingerprint, parts.labels)


def _load_parts(data: str, image_size: int, cache_dir: Path, progress: bool) -> Parts:
    # Imported here because torchvision and scikit-image take seconds, and only one source is used.
    if data == "cifar10":
        from colornet.data.cifar10 import load_cifar10

        return load_cifar10(image_size, cache_dir, progress)
    if data == "sample":
        from colornet.data.sample import load_sample

        return load_sample(image_size)
    from colornet.data.folder import load_folder

    return load_folder(Path(data).expanduser(), image_size, cache_dir, progress)
