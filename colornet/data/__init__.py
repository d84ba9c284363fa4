"""Data sets as uint8 tensors, and the loader that shuffles, shards and augments them; imported without torch."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from colornet.data.listing import check_dataset, default_cache_dir
from colornet.files import expanded

if TYPE_CHECKING:
    from colornet.data.loader import DeviceLoader
    from colornet.data.splits import Dataset

__all__ = ["Dataset", "DeviceLoader", "check_dataset", "default_cache_dir", "load_dataset"]

_NEEDS_TORCH = {"Dataset": "splits", "DeviceLoader": "loader"}


def load_dataset(data: str, *, image_size: int, cache_dir: Path | None = None, progress: bool = False) -> Dataset:
    """Load "cifar10", "sample" or any folder of images, resized and cropped to squares of `image_size` pixels.

    CIFAR-10 is downloaded to `cache_dir` once, folders are decoded once and kept there; the default is
    `default_cache_dir()`. `progress` shows bars where stderr is a terminal. Raises InputError for data that cannot be
    found or used.
    """
    check_dataset(data)
    cache_dir = cache_dir or default_cache_dir()
    # Imported here because torchvision and scikit-image take seconds, and only one of them is used.
    if data == "cifar10":
        from colornet.data.cifar10 import load_cifar10

        return load_cifar10(image_size, cache_dir, progress)
    if data == "sample":
        from colornet.data.sample import load_sample

        return load_sample(image_size)
    from colornet.data.folder import load_folder

    return load_folder(expanded(data), image_size, cache_dir, progress)


def __getattr__(name: str) -> object:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)
