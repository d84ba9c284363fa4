"""Files that are either whole or absent, and reading those that others may have written."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PART = ".part-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success it is synced and replaces `path`.

    After an exception, or a crash at any moment, `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{_PART}{secrets.token_hex(4)}{path.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes.

    Raises `OSError`, whose `strerror` ends a sentence, for anything else: a pipe or device, which could block or never
    end, a folder, a larger file, or one that cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe would wait for a writer. It does not change how a regular file is read.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1) if about.st_size <= limit else None
    finally:
        os.close(descriptor)
    if data is None or len(data) > limit:  # it may have grown since
        raise OSError(errno.EINVAL, f"it has more than {limit:,} bytes", str(path))
    return data


def read_json(path: Path, limit: int) -> Any:
    """Read a regular file of at most `limit` bytes as JSON; `OSError` as `read_bytes`, `ValueError` for its content."""
    try:
        return json.loads(read_bytes(path, limit))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically; a number that JSON cannot hold is an error."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def finite_or_none(value: float) -> float | None:
    """Replace infinity and NaN, which JSON cannot hold, by None."""
    return value if math.isfinite(value) else None


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left of files that they were `replacing`; no other process may write there now."""
    for path in folder.glob(f".*{_PART}*"):
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
