"""Files that are either whole or absent, and reading those that others may have written."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from colornet.errors import InputError

if sys.platform != "win32":
    import fcntl

_PART = ".part-"
_LEFTOVER = re.compile(rf"(\..+)?{re.escape(_PART)}[a-z0-9_]{{8}}(\.[^.]*)?")  # with a name first: of earlier versions
_ABANDONED = 86400.0  # seconds without a change after which a file has no process, where locks do not tell
LARGEST_WEIGHTS = 2**36  # bytes of a file of tensors; more is damage or an attack


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success it is synced and replaces `path`.

    After an exception, or a crash at any moment, `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked_temporary(path) as temporary:
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    sync(path.parent)


@contextmanager
def _locked_temporary(path: Path) -> Iterator[Path]:
    """Make a file beside `path` and lock it; `remove_leftovers` may take it before it is locked, but not after."""
    while True:
        # Without the name of `path`, which may be as long as the file system allows.
        temporary = path.with_name(f"{_PART}{secrets.token_hex(4)}{path.suffix}")
        temporary.touch(exist_ok=False)
        with ExitStack() as held:
            with suppress(FileNotFoundError):
                held.enter_context(locked_file(temporary, wait=True))
            if temporary.exists():
                yield temporary
                return


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder in place of `~`; `InputError` if that is not known and nothing is there."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        if Path(path).exists():  # a name that begins with ~
            return Path(path)
        raise InputError(f"The home folder in '{os.fspath(path)}' is not known: give the full path.") from error


def check_utf8(path: str | os.PathLike[str]) -> None:
    """Raise `InputError` for a path with bytes that are no UTF-8: safetensors and TensorBoard take no others."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        advice = "rename it, or choose another"
        raise InputError(f"Path '{os.fspath(path)}' is no UTF-8, and a run needs one that is: {advice}.") from error


def check_writable(option: str, path: Path, folder: Path) -> None:
    """Raise `InputError` for the value of an option, a path, whose `folder` cannot be written or made.

    A file is made in the folder, or in the next one above that exists, and removed: permissions do not tell. What
    killed processes left in the folder is removed, too.
    """
    parent = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise unwritable(option, path, error) from error
    remove_leftovers(folder)


def unwritable(option: str, path: Path, error: OSError) -> InputError:
    """Return the error for the value of an option, a path, that cannot be written."""
    return InputError(f"{option} {path} cannot be written ({error.strerror}): choose another folder.")


@contextmanager
def locked_file(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Lock a file, which the system unlocks when this process dies; yield whether that succeeded.

    It fails where another process holds the lock, unless told to `wait` for that, and where locks do not exist: on
    Windows and some file systems.
    """
    # One of three kinds of locks, none of which can do the work of another. This one holds between threads too, which
    # may replace files of one folder, and follows a file that is renamed. A run's is one of POSIX (runs/lock.py): not
    # every cluster's file system passes this one on to other machines. That of downloads is filelock's: it also waits,
    # and exists on Windows.
    if sys.platform == "win32":
        yield False  # an open file could not be renamed there
        return
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
        else:
            yield True


@contextmanager
def open_regular(path: Path, limit: int) -> Iterator[BinaryIO]:
    """Open a regular file of at most `limit` bytes to read it.

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
        if about.st_size > limit:
            raise OSError(errno.EINVAL, f"it has more than {limit:,} bytes", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes; `OSError` as `open_regular`."""
    with open_regular(path, limit) as file:
        data = file.read(limit + 1)
    if len(data) > limit:  # it has grown since it was opened
        raise OSError(errno.EINVAL, f"it has more than {limit:,} bytes", str(path))
    return data


def sha256_of(path: Path, limit: int = LARGEST_WEIGHTS) -> str:
    """Return the sha256 of a regular file of at most `limit` bytes; `OSError` as `open_regular`."""
    digest = hashlib.sha256()
    with open_regular(path, limit) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
    """Remove what killed processes left of files that they were `replacing`; those of living processes stay."""
    # The folder may be any of the user's: other programs may have files with similar names.
    for path in (found for found in folder.glob(".*") if _LEFTOVER.fullmatch(found.name)):
        with suppress(OSError):  # another process has removed it, or on Windows uses it
            age = time.time() - path.stat().st_mtime
            with locked_file(path) as abandoned:
                if abandoned or age > _ABANDONED:
                    path.unlink()


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
