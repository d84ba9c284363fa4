"""Data sets of the Hugging Face Hub: folders of images, or parquet files, which are unpacked into one."""

from __future__ import annotations

import dataclasses
import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from colornet.data.cache import make_folder
from colornet.data.download import one_process
from colornet.data.folder import load_folder
from colornet.data.formats import image_formats, image_suffixes
from colornet.data.listing import iter_images
from colornet.data.parquet import has_pyarrow, read_rows
from colornet.data.splits import PARTS, Dataset
from colornet.errors import InputError
from colornet.hub import download_dataset, parse_hub_name


def load_hub_dataset(name: str, image_size: int, cache_dir: Path, progress: bool) -> Dataset:
    """Load `hf:OWNER/NAME` as `load_folder` loads a folder. InputError if it cannot be downloaded or has no images."""
    folder = fetch_hub_dataset(name, cache_dir, progress)
    return dataclasses.replace(load_folder(folder, image_size, cache_dir, progress), name=parse_hub_name(name).repo)


def fetch_hub_dataset(name: str, cache_dir: Path, progress: bool) -> Path:
    """Download a data set unless the caches have it, and return the folder of its images.

    Images lie in the cache of the Hub. Those of parquet files are unpacked to `cache_dir`/hub, which needs pyarrow.
    """
    hub_name = parse_hub_name(name)
    Image.init()
    suffixes = sorted(image_suffixes())
    patterns = [f"*{variant}" for suffix in (*suffixes, ".parquet") for variant in (suffix, suffix.upper())]
    folder = download_dataset(hub_name, patterns, progress=progress)
    if folder.is_dir() and next(iter_images(folder), None) is not None:  # without any such file, there is no folder
        return folder
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise InputError(f"Data set '{name}' holds neither images nor parquet files: choose another, or unpack it.")
    if not has_pyarrow():
        raise InputError(f"Data set '{name}' is in parquet files, which need pyarrow: pip install pyarrow.")
    if len({file.parent for file in files}) > 1:
        raise InputError(f"Data set '{name}' has several configurations: download one and give --data its folder.")
    target = cache_dir / "hub" / hub_name.repo.replace("/", "--") / folder.name
    make_folder(target.parent)
    with one_process(target.parent):
        if not target.exists():
            _unpack(files, target)
    return target


def _unpack(files: list[Path], target: Path) -> None:
    """Write the images of parquet files to a folder that is whole or absent: PART/CLASS/FILE-ROW.SUFFIX."""
    parts = {file: file.stem.split("-")[0] for file in files}
    divided = {"train", "test"} <= set(parts.values())
    with tempfile.TemporaryDirectory(prefix=".part-", dir=target.parent) as temporary:
        folder = Path(temporary) / target.name
        for file, part in parts.items():
            if divided and part not in PARTS:
                continue
            for number, (image, label) in enumerate(read_rows(file)):
                suffix = _suffix(image)
                place = folder / (part if divided else "") / _folder_name(label)
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{file.stem}-{number:07}{suffix}").write_bytes(image)
        shutil.move(folder, target)


def _folder_name(label: str | None) -> str:
    """Return the folder of a class; nothing for images without one."""
    return "" if label is None else label.replace("/", "_").replace("\\", "_").lstrip(".") or "_"


def _suffix(image: bytes) -> str:
    """Return the suffix of an encoded image; one that cannot be identified is left to the reader, which reports it."""
    try:
        with Image.open(io.BytesIO(image), formats=image_formats()) as opened:
            return f".{(opened.format or 'png').lower()}"
    except (UnidentifiedImageError, OSError, ValueError):
        return ".png"
