"""Mend files that every viewer shows and Pillow refuses: JPEG without an end marker, PNG with much text."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

from PIL import Image

_MOST_TEXT = 2**16  # bytes of a text that are kept; a photograph's orientation may be in it
_END = b"\xff\xd9"


def mended(data: bytes) -> bytes | None:
    """Return what Pillow can open in place of a file's bytes; None if they are damaged in another way."""
    if data.startswith(b"\xff\xd8"):
        whole = data.rstrip(b"\xff") + _END
        return whole if _has_all_scans(whole) and _needs_no_more(whole) else None
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data[:8] + b"".join(_without_long_texts(data))
    return None


def _needs_no_more(jpeg: bytes) -> bool:
    """Tell whether a JPEG's pixels are the same whatever follows its data: otherwise, data are missing."""
    digests = set()
    for more in (b"", b"\xaa" * 512):  # the decoder continues with zeros, or with the bits 1010…
        with Image.open(BytesIO(jpeg[:-2] + more + _END), formats=("JPEG",)) as image:
            digests.add(hashlib.sha256(image.tobytes()).digest())
    return len(digests) == 1


def _has_all_scans(jpeg: bytes) -> bool:
    """Tell whether the scans of a JPEG, which may be progressive, hold every coefficient to its last bit."""
    missing: set[tuple[int, int]] = set()
    for marker, body in _segments(jpeg):
        if marker in (0xC0, 0xC1, 0xC2):  # a frame
            missing = {(component, place) for component in body[6::3] for place in range(64)}
        elif marker == 0xDA:  # a scan
            count = body[0]
            first, last, bits = body[1 + 2 * count : 4 + 2 * count]
            if not bits & 15:
                missing -= {(component, place) for component in body[1:-3:2] for place in range(first, last + 1)}
    return not missing


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers of a JPEG that have a length, with what follows it."""
    place = 2
    while (place := jpeg.find(b"\xff", place)) >= 0 and place + 4 <= len(jpeg):
        marker = jpeg[place + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # within a scan's data
            place += 1 if marker == 0xFF else 2
            continue
        if marker == 0xD9:
            return
        length = int.from_bytes(jpeg[place + 2 : place + 4], "big")
        yield marker, jpeg[place + 4 : place + 2 + length]
        place += 2 + length


def _without_long_texts(png: bytes) -> Iterator[bytes]:
    """Yield the chunks of a PNG, except for those of long texts."""
    place = 8
    while place + 8 <= len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        chunk = png[place : place + 12 + length]
        if name not in (b"tEXt", b"zTXt", b"iTXt") or _text_length(name, chunk[8:-4]) <= _MOST_TEXT:
            yield chunk
        place += 12 + length


def _text_length(name: bytes, body: bytes) -> int:
    """Return the bytes of a text chunk, of a compressed one after decompression; at most one more than are kept."""
    keyword, _, rest = body.partition(b"\0")
    if name == b"iTXt":
        compressed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    else:
        compressed, rest = name == b"zTXt", rest[1:]
    if compressed:
        try:
            rest = zlib.decompressobj().decompress(rest, _MOST_TEXT + 1)
        except zlib.error:
            return _MOST_TEXT + 1
    return len(keyword) + len(rest)
