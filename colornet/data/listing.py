"""Find the images of a data set and check what the user named, without importing torch."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from colornet.data.formats import image_suffixes
from colornet.data.layout import is_foreign, not_readable, part_folders
from colornet.errors import InputError
from colornet.files import expanded
from colornet.hub import is_hub_name, parse_hub_name

KNOWN_DATASETS = ("cifar10", "sample")  # a folder of that name is meant by ./cifar10


class ImageFile(NamedTuple):
    """An image of a folder: its path relative to the folder (separator `/`), its bytes and time of last change."""

    name: str
    size: int
    mtime_ns: int
    identity: tuple[int, int] = (0, 0)  # device and number of the file, which links share; zeros on Windows


def default_cache_dir() -> Path:
    """Return where data sets are kept: $COLORNET_DATA, else $XDG_CACHE_HOME/colornet, else ~/.cache/colornet.

    Raises InputError for a user without a home folder.
    """
    if chosen := os.environ.get("COLORNET_DATA"):
        return expanded(chosen)
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "colornet"
    try:
        return Path.home() / ".cache" / "colornet"
    except RuntimeError as error:  # HOME is not set, and the system does not know the user
        advice = "name one with --cache-dir or COLORNET_DATA"
        raise InputError(f"No folder for the cache: the user has no home folder: {advice}.") from error


def utf8(name: str) -> str:
    """Return a file's name as text that can be written: bytes that are no UTF-8 become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def check_dataset(data: str) -> None:
    """Raise InputError unless `data` is a known name, one of the Hub or a folder with an image in each part."""
    if data in KNOWN_DATASETS:
        return
    if is_hub_name(data):
        parse_hub_name(data)  # whether it exists is found where it is downloaded
        return
    folder = expanded(data)
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


def iter_images(folder: Path, below: str = "") -> Iterator[ImageFile]:
    """Yield every file below a folder or a subfolder that has the suffix of an image format and is not hidden.

    Formats that are not read, such as raw photographs, are yielded to be reported. Folders that other programs made for
    thumbnails or deleted files are not entered. Symbolic links are followed, but each directory is read only once.
    Dangling links are yielded, to be reported as unreadable; pipes and devices are not. Raises InputError for a
    directory that cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    pending = [(folder / below, below and f"{below}/")]  # no recursion: folders may be nested deeper than its limit
    while pending:
        directory, prefix = pending.pop()
        try:
            status = directory.stat()
            with os.scandir(directory) as scan:
                entries = sorted((e for e in scan if not is_foreign(e.name)), key=lambda entry: entry.name)
        except OSError as error:
            raise not_readable(directory, error) from error
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        folders = []
        for entry in entries:
            path, link = Path(entry.path), entry.is_symlink()
            found = path if link else entry  # `os.DirEntry` raises an error for circular links
            if found.is_dir():
                folders.append((path, f"{prefix}{entry.name}/"))
            elif path.suffix.lower() in image_suffixes():
                dangling = link and not path.exists()
                if found.is_file() or dangling:
                    file = entry.stat(follow_symlinks=not dangling)
                    yield ImageFile(prefix + entry.name, file.st_size, file.st_mtime_ns, (file.st_dev, file.st_ino))
        pending += reversed(folders)
