"""The hash of an ONNX file that the file itself contains, so that damage to it is noticed."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

KEY = "file_sha256"  # of the record that describes an export
BLANK = "0" * 64  # its value in the content that is hashed

_ENTRY = re.compile(rb'"file_sha256": "([^"]{64})"')


def seal(path: Path) -> None:
    """Replace the blank hash in the record of a file by that of the file."""
    content = path.read_bytes()
    _, start = _blanked(content) or (content, None)
    assert start is not None, "the record has no blank hash"
    with path.open("r+b") as file:
        file.seek(start)
        file.write(hashlib.sha256(content).hexdigest().encode())


def is_damaged(content: bytes) -> bool:
    """Tell whether the content of a file is another one than was sealed; earlier versions sealed none."""
    found = _blanked(content)
    if found is None:
        return False
    blanked, start = found
    return hashlib.sha256(blanked).hexdigest().encode() != content[start : start + len(BLANK)]


def _blanked(content: bytes) -> tuple[bytes, int] | None:
    """Return the content with a blank hash, and where that begins; None where there is not exactly one."""
    entries = list(_ENTRY.finditer(content))
    if len(entries) != 1:
        return None
    start, end = entries[0].span(1)
    return content[:start] + BLANK.encode() + content[end:], start
