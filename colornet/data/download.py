"""Download a file over HTTP from servers that may be slow, stop midway or send something else; without torch."""

from __future__ import annotations

import logging
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from colornet.bar import Bar
from colornet.files import sync

LARGEST = 2**28  # bytes of the files of CIFAR-10; its archive has 170,498,071
TIMEOUT = 30.0  # seconds without a byte after which a connection is given up
ATTEMPTS = 4  # in a row that add nothing to the file
PAUSE = 1.0  # seconds before another attempt
SLOWEST = 1024  # bytes per second, on average over TIMEOUT: at less, CIFAR-10 would take two days

_CHUNK = 2**18
_PATIENT = {408, 425, 429, 500, 502, 503, 504}  # answers after which the same request may succeed
_NETWORK_ERRORS = (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)

_logger = logging.getLogger("colornet.data")


class DownloadError(Exception):
    """A file cannot be downloaded; the message says why, in words that fit after the name of its source."""


@contextmanager
def one_process(folder: Path) -> Iterator[None]:
    """Let one process at a time work on a folder; the others wait as long as it takes, and say so.

    The lock is the operating system's: a killed process leaves none.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _logger.warning("Waiting for another process that works in '%s'.", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def download(url: str, path: Path, *, largest: int, progress: bool) -> None:
    """Download a file of at most `largest` bytes to `path`; only one process may do it at a time.

    What arrives is kept in PATH.part until the file is as long as the server said, also between calls: an interrupted
    download continues where it stopped. The content is not checked. Raises DownloadError, and OSError if the disk
    refuses to be written.
    """
    part = path.with_name(f"{path.name}.part")
    failures, reason = 0, ""
    while failures < ATTEMPTS:
        if failures:
            time.sleep(PAUSE)
        before = part.stat().st_size if part.exists() else 0
        try:
            _receive(url, part, before, largest, progress)
            sync(part)
            part.replace(path)
            return
        except urllib.error.HTTPError as error:
            with error:
                reason = f"HTTP status {error.code}"
            if error.code == 416:  # there is nothing after the part: it is whole, or of another file
                if error.headers.get("Content-Range") == f"bytes */{before}":
                    part.replace(path)
                    return
                part.unlink()
            elif error.code not in _PATIENT:
                raise DownloadError(reason) from error
        except _NETWORK_ERRORS as error:
            reason = _words(error)
        after = part.stat().st_size if part.exists() else 0
        failures = 0 if after > before else failures + 1
    raise DownloadError(reason)


def _receive(url: str, part: Path, have: int, largest: int, progress: bool) -> None:
    """Append to a part the bytes that it lacks of the file at a URL, or write all of them."""
    # No compression: ranges and lengths count the bytes of the file.
    headers = {"User-Agent": "colornet", "Accept-Encoding": "identity"}
    try:
        request = urllib.request.Request(url, headers=headers | ({"Range": f"bytes={have}-"} if have else {}))
    except ValueError as error:
        raise DownloadError("it is not an address that begins with https://") from error
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if response.headers.get_content_type() == "text/html":
            raise DownloadError("a web page came instead of the file")
        if response.status != 206 or _start(response.headers) != have:
            have = 0  # the server sends the file from its beginning
        length = response.headers.get("Content-Length", "")
        whole = have + int(length) if length.isdecimal() else None
        if (whole or 0) > largest:
            raise DownloadError(f"a file of {whole:,} bytes came, which is too long")
        with (
            part.open("ab" if have else "wb") as file,
            Bar(desc=part.stem, initial=have, total=whole, unit="B", unit_scale=True, shown=progress) as bar,
        ):
            for chunk in _chunks(response):
                file.write(chunk)
                bar.update(len(chunk))
                have += len(chunk)
                if have > largest:
                    part.unlink()
                    raise DownloadError(f"more than {largest:,} bytes came, which is too long")
    if whole is not None and have < whole:
        raise ConnectionError(f"the connection ended after {have:,} of {whole:,} bytes")


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """Yield what arrives, as it arrives; TimeoutError if that is too little."""
    began, received = time.monotonic(), 0
    while chunk := response.read1(_CHUNK):
        yield chunk
        received += len(chunk)
        if (elapsed := time.monotonic() - began) > TIMEOUT:
            if received < SLOWEST * elapsed:
                raise TimeoutError(f"only {received / elapsed:,.0f} bytes arrive per second")
            began, received = time.monotonic(), 0


def _start(headers: Message) -> int | None:
    """Return the position from which a partial answer sends the file."""
    match = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _words(error: Exception) -> str:
    """Say what a network error means."""
    cause: Any = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError) and (not cause.args or "timed out" in str(cause)):
        return f"nothing arrives for {TIMEOUT:.0f} seconds"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
