"""Find the images of a data set and check what the user named, without importing torch."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from colornet.errors import InputError
from colornet.hub import is_hub_name, parse_hub_name

KNOWN_DATASETS = ("cifar10", "sample")  # a folder of that name is meant by ./cifar10

# Pillow only identifies these or passes them to another program (EPS: Ghostscript, which an image must not start).
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


class ImageFile(NamedTuple):
    """An image of a folder: its path relative to the folder (separator `/`), its bytes and time of last change."""

    name: str
    size: int
    mtime_ns: int


def default_cache_dir() -> Path:
    """Return where data sets are kept: $COLORNET_DATA, else $XDG_CACHE_HOME/colornet, else ~/.cache/colornet."""
    if chosen := os.environ.get("COLORNET_DATA"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "colornet"


def check_dataset(data: str) -> None:
    """Raise InputError unless `data` is a known name, one of the Hub or a folder with an image in each part."""
    if data in KNOWN_DATASETS:
        return
    if is_hub_name(data):
        parse_hub_name(data)  # whether it exists is found where it is downloaded
        return
    folder = Path(data).expanduser()
    if not folder.exists():
        near = difflib.get_close_matches(data.lower(), KNOWN_DATASETS, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "give one of the two, the folder with its full path."
        known = ", ".join(KNOWN_DATASETS)
        raise InputError(f"Data set {data!r} is neither a known name ({known}) nor a folder: {advice}")
    if not folder.is_dir():
        advice = "unpack it or give the folder it lies in"
        raise InputError(f"Data set {data!r} is a file, not a folder of images: {advice}.")
    for below in part_folders(folder).values():
        if next(iter_images(folder, below), None) is None:
            raise no_images(folder / below)


def no_images(folder: Path) -> InputError:
    """Return the error for a folder without images."""
    return InputError(f"Folder '{folder}' holds no images: give a folder with files such as .jpg, .png or .webp.")


@cache
def image_formats() -> tuple[str, ...]:
    """Return the names of the formats that Pillow itself decodes, in the order in which they are tried."""
    Image.init()
    return tuple(sorted(set(Image.ID) - _NOT_DECODED, key=lambda name: (name not in ("JPEG", "PNG"), name)))


@cache
def _image_suffixes() -> frozenset[str]:
    formats = set(image_formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def part_folders(folder: Path) -> dict[str, str]:
    """Return the subfolders of the parts `train`, `test` and, if there is one, `validation`; {"all": ""} if undivided.

    A `val/` without a `test/` (the layout of ImageNet) is the test set, on which results are reported.
    """
    validation = "validation" if (folder / "validation").is_dir() else "val"
    found = [name for name in ("train", "test", validation) if (folder / name).is_dir()]
    if "train" not in found or len(found) == 1:
        return {"all": ""}
    return dict(zip(("train", "test", "validation"), found, strict=False))


def iter_images(folder: Path, below: str = "") -> Iterator[ImageFile]:
    """Yield every file below a folder or a subfolder that has the suffix of an image format and is not hidden.

    Symbolic links are followed, but each directory is read only once. Dangling links are yielded, to be reported as
    unreadable; pipes and devices are not. Raises InputError for a directory that cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    pending = [(folder / below, below and f"{below}/")]  # no recursion: folders may be nested deeper than its limit
    while pending:
        directory, prefix = pending.pop()
        try:
            status = directory.stat()
            with os.scandir(directory) as scan:
                entries = sorted((e for e in scan if not e.name.startswith(".")), key=lambda entry: entry.name)
        except OSError as error:
            message = f"Folder '{directory}' cannot be read ({error.strerror}): check its permissions."
            raise InputError(message) from error
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        folders = []
        for entry in entries:
            path, link = Path(entry.path), entry.is_symlink()
            found = path if link else entry  # `os.DirEntry` raises an error for circular links
            if found.is_dir():
                folders.append((path, f"{prefix}{entry.name}/"))
            elif path.suffix.lower() in _image_suffixes():
                dangling = link and not path.exists()
                if found.is_file() or dangling:
                    file = entry.stat(follow_symlinks=not dangling)
                    yield ImageFile(prefix + entry.name, file.st_size, file.st_mtime_ns)
        pending += reversed(folders)
