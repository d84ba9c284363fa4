"""What can be said about a data set before torch is imported: does it exist, and where are caches kept?"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from colornet.data.listing import iter_images, part_folders
from colornet.errors import InputError

__all__ = ["KNOWN_DATASETS", "check_dataset", "default_cache_dir"]

KNOWN_DATASETS = ("cifar10", "sample")  # a folder of that name is meant by ./cifar10


def default_cache_dir() -> Path:
    """Return where data sets are kept: $COLORNET_DATA, else $XDG_CACHE_HOME/colornet, else ~/.cache/colornet."""
    if chosen := os.environ.get("COLORNET_DATA"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "colornet"


def check_dataset(data: str) -> None:
    """Raise InputError unless `data` is a known name or a folder with an image in each part; decodes nothing."""
    if data in KNOWN_DATASETS:
        return
    folder = Path(data).expanduser()
    if not folder.exists():
        near = difflib.get_close_matches(data.lower(), KNOWN_DATASETS, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "give one of the two, the folder with its full path."
        raise InputError(
            f"Data set {data!r} is neither a known name ({', '.join(KNOWN_DATASETS)}) nor a folder: {advice}"
        )
    if not folder.is_dir():
        raise InputError(
            f"Data set {data!r} is a file, not a folder of images: unpack it or give the folder it lies in."
        )
    for below in part_folders(folder).values():
        if next(iter_images(folder, below), None) is None:
            raise InputError(
                f"Folder '{folder / below}' holds no images: give a folder with files such as .jpg, .png or .webp."
            )
