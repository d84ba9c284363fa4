"""Which side of an image is up, as its metadata say, whatever else of them is damaged."""

from __future__ import annotations

import struct
from contextlib import suppress

from PIL import Image
from PIL.ExifTags import Base
from PIL.Image import Transpose

# What makes the stored rows upright, by EXIF orientation.
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF orientation says, or the image itself."""
    return turned(image, orientation(image))


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image whose stored rows an orientation from 1 to 8 describes, upright."""
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8, whatever else of its metadata is damaged; 1 without one."""
    exif = image.info.get("exif")
    with suppress(struct.error, IndexError):
        # Not with Pillow, which gives up at the first entry that is damaged, such as the camera's name.
        if isinstance(exif, bytes) and (found := _exif_orientation(exif.removeprefix(b"Exif\0\0"))):
            return found
    with suppress(Exception):  # whatever damaged metadata make Pillow raise
        found = image.getexif()[Base.Orientation]  # of XMP, too
        return found if found in range(1, 9) else 1
    return 1


def _exif_orientation(exif: bytes) -> int | None:
    order = "<" if exif.startswith(b"II") else ">"
    (place,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, place)
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", exif, entry)
        if tag == Base.Orientation and number == 1 and kind in (1, 3, 4):
            (value,) = struct.unpack_from(order + {1: "B", 3: "H", 4: "I"}[kind], exif, entry + 8)
            return value if value in range(1, 9) else None
    return None
