"""The files of a demo: a folder that is removed in the end, or by a later start, and bounded in size."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from colornet.files import locked_file

KEPT = "kept"  # a folder within the folder, whose files are never removed to make room

_PREFIX = "colornet-demo-"
_LOCK = "lock"


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a folder for the files of this server alone, and remove it in the end.

    What servers that were killed have left is removed first: their locks ended with them.
    """
    _sweep()
    with TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        (folder / KEPT).mkdir()
        lock = folder / f"new-{_LOCK}"
        lock.touch()
        with locked_file(lock):  # where it cannot be locked, no later start can lock it either, and nothing is swept
            lock.rename(folder / KEPT / _LOCK)  # only now: others take a free lock for that of a dead server
            yield folder


def _sweep() -> None:
    if sys.platform == "win32":  # nothing is locked there: what a killed server leaves stays
        return
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # there is no lock yet
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with locked_file(folder / KEPT / _LOCK) as is_dead:
                if is_dead:
                    shutil.rmtree(folder)


class NoRoomError(OSError):
    """A file does not fit into the disk space of the demo."""


class Disk:
    """A folder that holds at most `limit` bytes: the files that were used longest ago are removed to make room."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._coming = 0  # bytes of files that are being written

    def make_room(self, size: int) -> None:
        """Remove files until `size` more bytes fit; NoRoomError if they do not beside those that are being written."""
        if size + self._coming > self.limit:
            raise NoRoomError(errno.ENOSPC, "the disk space of the demo is in use, try again later")
        files = []
        for path in self.folder.rglob("*"):
            with suppress(OSError):  # removed meanwhile
                about = path.lstat()
                if path.is_file() and KEPT not in path.relative_to(self.folder).parts[:1]:
                    files.append((about.st_mtime_ns, about.st_size, path))
        total = sum(held for _, held, _ in files) + self._coming + size
        for _, held, path in sorted(files):
            if total <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= held

    @contextmanager
    def writing(self, size: int) -> Iterator[None]:
        """Make room for a file that is about to be written, and count it until it is there; NoRoomError as there."""
        self.make_room(size)
        self._coming += size
        try:
            yield
        finally:
            self._coming -= size
