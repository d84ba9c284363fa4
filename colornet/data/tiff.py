"""What Pillow decodes wrongly of TIFF files: the page, the polarity and the bits of their samples."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from colornet.data.formats import is_raw

_SUBFILE, _OLD_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 258, 259, 262
_PLANAR, _EXTRA, _FORMAT, _SUBSAMPLING, _DNG = 284, 338, 339, 530, 50706

_MOST_PAGES = 1000  # of a file that are looked at
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}


def choose_page(image: TiffImageFile, path: str | os.PathLike[str]) -> None:
    """Seek the first page that is not a preview or a mask; `info["page"]` says which one of several it is.

    Raises OSError if there is none, or for a raw photograph.
    """
    if is_raw(path) or _DNG in image.tag_v2:
        raise OSError("it is a camera's raw photograph, and only its preview can be read: develop it first")
    page = 0
    while _is_side_image(image):
        page += 1
        try:
            image.seek(page)
        except EOFError as error:
            raise OSError("it holds only a preview that can be read, maybe of a raw photograph") from error

    if image.is_animated and (others := _full_pages(image, page)):
        image.info["page"] = f"page {page + 1} of {others + 1}"


def _full_pages(image: TiffImageFile, chosen: int) -> int:
    """Count the pages behind the chosen one that are not previews or masks."""
    count = 0
    for page in range(chosen + 1, min(image.n_frames, _MOST_PAGES)):
        with suppress(Exception):  # pages that are damaged or of a kind that is not read
            image.seek(page)
        count += not _is_side_image(image)
    image.seek(chosen)
    return count


def _is_side_image(image: TiffImageFile) -> bool:
    return bool(image.tag_v2.get(_SUBFILE, 0) & 5) or image.tag_v2.get(_OLD_SUBFILE) == 2


def prepare(image: TiffImageFile) -> None:
    """Mend how the samples of a page will be read; raise OSError for those that Pillow reads wrongly."""
    tags = image.tag_v2
    compressed, planes = tags.get(_COMPRESSION, 1) != 1, tags.get(_PLANAR, 1) == 2
    bits, photometric = tags.get(_BITS, (1,))[0], tags.get(_PHOTOMETRIC, 0)
    if 2 in tags.get(_FORMAT, (1,)) and bits == 8:
        raise _wrong("signed 8-bit integers")
    if image.mode == "F" and photometric == 0:
        raise _wrong("floats whose white is zero")
    if photometric == 6 and not compressed and tags.get(_SUBSAMPLING, (2, 2)) != (1, 1):
        raise _wrong("subsampled YCbCr without compression")
    if planes and not compressed and bits == 16:
        if image.mode not in ("RGB", "RGBA") or 1 in tags.get(_EXTRA, ()):
            raise _wrong(f"16-bit {image.mode} in separate planes")
        order = "L" if tags.prefix == b"II" else "B"  # Pillow would read these planes as if they had 8 bits
        _read_as(image, lambda samples: f"{samples};16{order}")
    if compressed:  # libtiff returns the machine's order of bytes, which Pillow forgets for these
        _read_as(image, lambda samples: _NATIVE.get(samples, samples))


def _read_as(image: TiffImageFile, samples: Callable[[str], str]) -> None:
    """Change the kind of samples (Pillow's raw mode) that the decoders of a page are told."""
    for place, tile in enumerate(image.tile):
        assert isinstance(tile.args, tuple)
        image.tile[place] = tile._replace(args=(samples(tile.args[0]), *tile.args[1:]))


def _wrong(what: str) -> OSError:
    return OSError(f"it is a TIFF of {what}, which is not read: save it with interleaved unsigned integers")


def corrected(image: TiffImageFile) -> Image.Image:
    """Return a loaded page with its gray values as the file means them: white above black, all bits, no sign."""
    tags = image.tag_v2
    bits, kind = tags.get(_BITS, (1,))[0], tags.get(_FORMAT, (1,))[0]
    if image.mode == "I" and kind == 1 and bits == 32:
        values = np.asarray(image).view(np.uint32)
        if values.max(initial=0) < 2**31:
            return image
        low, high = (float(bound) for bound in (values.min(), values.max()))
        scaled = (values - low) * (65535 / ((high - low) or 1))
        return _like(image, scaled.round().astype(np.uint16))
    if image.mode.startswith("I;16") and bits == 12:
        values = np.asarray(image).astype(np.uint32)
        return _like(image, ((values * 65535 + 2047) // 4095).astype(np.uint16))
    if image.mode.startswith("I;16") and tags.get(_PHOTOMETRIC) == 0:
        return _like(image, (65535 - np.asarray(image)).astype(np.uint16))
    return image


def _like(image: Image.Image, values: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> Image.Image:
    new = Image.fromarray(values)
    new.info = image.info
    return new
