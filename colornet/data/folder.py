"""Load any folder of images as a data set: decode it in parallel, split it and keep it in the cache."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import sys
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colornet.bar import Bar
from colornet.data.cache import Remark, cache_key, make_folder, not_writable, read_dataset, write_dataset
from colornet.data.images import is_passing, open_square, to_chw
from colornet.data.layout import describe, part_folders
from colornet.data.listing import ImageFile, iter_images, utf8
from colornet.data.splits import PARTS, Dataset, Labels, split_train, split_whole
from colornet.errors import InputError, printable
from colornet.files import remove_leftovers

_SHOWN = 5
_FILES_PER_TASK = 16
_PIECE = 2**22  # bytes of images that are worked on at a time
_SMALL_FILE = 8192  # bytes; below it threads only wait for Python's lock: 16 of them take 3 times as long as one

_Places = tuple[Tensor, Tensor, Tensor]  # of the images to train, validate and test with, int64 (N,) each

_logger = logging.getLogger("colornet.data")


def load_folder(folder: Path, image_size: int, cache_dir: Path, progress: bool) -> Dataset:
    """Load the images of a folder, with the shorter side resized to `image_size` pixels and the center cropped.

    Subfolders `train`, `test` and `validation` (`layout` knows their other names) are taken as the parts; otherwise
    every tenth image is for test and every tenth for validation. Files that cannot be read are left out with a warning
    on the logger "colornet.data". With `progress`, stderr says what became of every subfolder. Raises InputError where
    too few images remain or the cache cannot be written.
    """
    # Sorted by relative path: one class folder after the other.
    below = part_folders(folder)
    sources = {part: sorted(iter_images(folder, name)) for part, name in below.items()}
    _check_disjoint(folder, sources)
    path = cache_dir / "decoded" / f"{cache_key(itertools.chain(*sources.values()), image_size)}.npy"
    name = utf8(folder.resolve().name)
    cached = read_dataset(path, name)
    if cached is None or _can_be_read_now(folder, cached[1], image_size):
        make_folder(path.parent)
        remove_leftovers(path.parent)  # a killed process left a file as large as its data set
        _store(path, folder, sources, image_size, progress)
        if (cached := read_dataset(path, name)) is None:
            raise not_writable(path.parent, "what was written there is not what is read")
    dataset, remarks = cached
    _warn(folder, remarks)
    sizes = {part: len(getattr(dataset, part)) for part in PARTS}
    if progress and sys.stderr is not None and (description := describe(folder, below, sizes)):
        Bar.write(description, sys.stderr)
    return dataset


def _check_disjoint(folder: Path, sources: dict[str, list[ImageFile]]) -> None:
    """Raise InputError where two parts share a file by links: held-out images would be trained on."""
    seen: dict[tuple[int, int], str] = {}
    for listed in sources.values():
        for file in listed:
            if any(file.identity) and (other := seen.get(file.identity)):
                both = printable(f"'{other}' and '{file.name}'")
                raise InputError(f"Folder '{folder}' holds one image in two parts, as {both}: remove one of them.")
        if len(sources) > 1:
            seen |= {file.identity: file.name for file in listed}


def _can_be_read_now(folder: Path, remarks: list[Remark], image_size: int) -> bool:
    """Tell whether a file that was left out for a reason outside its content is no longer left out for one."""
    passing = (remark.name for remark in remarks if remark.passing)
    return any(not (again := _decode(folder, name, image_size)[1]) or not again.passing for name in passing)


def _warn(folder: Path, remarks: list[Remark]) -> None:
    """Log what became of files that are not used as they are, those with the same reason together."""
    left_out = [remark for remark in remarks if remark.left_out]
    for about, message in (
        (left_out, "Left out %d file(s) of '%s' that cannot be read: %s"),
        ([remark for remark in remarks if not remark.left_out], "Used one page only of %d file(s) of '%s': %s"),
    ):
        by_reason: dict[str, list[str]] = {}
        for remark in about:
            by_reason.setdefault(remark.what, []).append(remark.name)
        texts = [f"{_shortened(names, ', ')} ({reason})" for reason, names in by_reason.items()]
        if about:
            _logger.warning(message, len(about), printable(str(folder)), printable(_shortened(texts, "; ")))


def _shortened(texts: list[str], separator: str) -> str:
    return separator.join(texts[:_SHOWN]) + (f"{separator}…" if len(texts) > _SHOWN else "")


def _store(path: Path, folder: Path, sources: dict[str, list[ImageFile]], image_size: int, progress: bool) -> None:
    """Decode a folder into the cache, with only a few images of each thread in memory."""
    files = [file for listed in sources.values() for file in listed]
    needed, free = 2 * len(files) * 3 * image_size**2, shutil.disk_usage(path.parent).free
    if needed > free:
        room = f"{needed / 1e9:,.1f} GB are needed for decoding and {free / 1e9:,.1f} GB are free"
        raise not_writable(path.parent, room)
    try:
        # First to an unnamed file, which a killed process does not leave: the parts depend on which files can be read.
        with TemporaryFile(dir=path.parent) as scratch:
            remarks = _decode_all(folder, files, image_size, progress, scratch)
            scratch.flush()
            left_out = {remark.name: remark for remark in remarks if remark.left_out}
            names = {}
            for part, listed in sources.items():
                names[part] = [file.name for file in listed if file.name not in left_out]
                if not names[part]:
                    found = f"none of its {len(listed)} {part} images can be read"
                    first = printable(f"'{listed[0].name}': {left_out[listed[0].name].what}")
                    raise InputError(f"Folder '{folder}' is not a data set: {found} ({first}).")
            places = _places(names, folder)
            labels = _labels(names, part_folders(folder), places)
            shape = 3, image_size, image_size
            pixels = np.memmap(scratch, np.uint8, "r", shape=(len(files) - len(left_out), *shape))
            pieces = (pixels[rows.numpy()] for rows in torch.cat(places).split(max(_PIECE // pixels[0].nbytes, 1)))
            write_dataset(path, [len(part) for part in places], shape, pieces, labels, remarks)
    except OSError as error:
        raise not_writable(path.parent, error.strerror or str(error)) from error


def _places(names: dict[str, list[str]], folder: Path) -> _Places:
    """Return the positions of the parts' images among all that can be read."""
    sizes = [len(listed) for listed in names.values()]
    positions = dict(zip(names, torch.arange(sum(sizes)).split(sizes), strict=True))
    if "all" in positions:
        return split_whole(positions["all"], f"Folder '{folder}'")
    if "validation" in positions:
        return positions["train"], positions["validation"], positions["test"]
    return *split_train(positions["train"], f"Folder '{folder / 'train'}'"), positions["test"]


def _labels(names: dict[str, list[str]], below: dict[str, str], places: _Places) -> Labels | None:
    """Return the classes of the images, the first folder of their paths within a part; None unless all have one."""
    paths = [name.removeprefix(below[source] + "/") for source, listed in names.items() for name in listed]
    folders = [path.rpartition("/")[0].partition("/")[0] for path in paths]
    classes = sorted(set(folders))
    if "" in classes:
        return None
    numbers = {name: number for number, name in enumerate(classes)}
    labels = torch.tensor([numbers[name] for name in folders])
    return Labels(tuple(map(utf8, classes)), *(labels[part] for part in places))


def _decode(folder: Path, name: str, image_size: int) -> tuple[NDArray[np.uint8] | None, Remark | None]:
    """Decode a file to (3, image_size, image_size), or say why not; a decoded one may have a remark, too."""
    try:
        image = open_square(folder / name, image_size)
        page = image.info.get("page")
        return np.ascontiguousarray(to_chw(image)), Remark(name, page, left_out=False) if page else None
    except MemoryError:
        return None, Remark(name, "there is not enough memory to decode it", left_out=True, passing=True)
    except OSError as error:
        return None, Remark(name, error.strerror or str(error), left_out=True, passing=is_passing(error))


def _decode_all(
    folder: Path, files: list[ImageFile], image_size: int, progress: bool, output: IO[bytes]
) -> list[Remark]:
    """Decode files and write the readable ones to `output`, (3, image_size, image_size) each; return the remarks."""

    def decode_many(start: int) -> list[tuple[NDArray[np.uint8] | None, Remark | None]]:
        return [_decode(folder, file.name, image_size) for file in files[start : start + step]]

    # Enough images to be worth a task's overhead, but not more than a few megabytes.
    step = min(max(_PIECE // (3 * image_size**2), 1), _FILES_PER_TASK)
    small = sum(file.size for file in files) < _SMALL_FILE * len(files)
    workers = 1 if small else os.cpu_count() or 1
    starts = iter(range(0, len(files), step))
    remarks = []
    # Threads, not processes: Pillow decodes photographs without the lock, and CUDA does not survive a fork.
    with (
        ThreadPoolExecutor(workers) as pool,
        Bar(total=len(files), desc="Decoding", unit="images", shown=progress) as bar,
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", module=r"PIL\.")  # about metadata and many pixels, from all threads
        pending = deque(pool.submit(decode_many, start) for start in itertools.islice(starts, 2 * workers))
        while pending:
            decoded = pending.popleft().result()
            pending.extend(pool.submit(decode_many, start) for start in itertools.islice(starts, 1))
            for pixels, remark in decoded:
                if remark is not None:
                    remarks.append(remark)
                if pixels is not None:
                    output.write(pixels.data)
            bar.update(len(decoded))
    return remarks
