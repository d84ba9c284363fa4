"""Data sets as uint8 tensors, and the loader that shuffles, shards and augments them on the device.

Importing this package does not import torch: a command line checks what the user gave before it waits for that.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from colornet.data.listing import check_dataset, default_cache_dir

if TYPE_CHECKING:
    from colornet.data.load import load_dataset
    from colornet.data.loader import DeviceLoader
    from colornet.data.splits import Dataset

__all__ = ["Dataset", "DeviceLoader", "check_dataset", "default_cache_dir", "load_dataset"]

_NEEDS_TORCH = {"Dataset": "splits", "load_dataset": "load", "DeviceLoader": "loader"}


def __getattr__(name: str) -> object:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)
