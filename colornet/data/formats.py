"""Which formats of images are read, and what a file is that is not."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, TiffImagePlugin

# Pillow only identifies these, passes them to another program (EPS: Ghostscript, which an image must not start), or
# takes their bytes in the wrong order (FITS).
_NOT_DECODED = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"}

_SAVE = "save it as JPEG, PNG or TIFF"
_RAW = "a camera's raw photograph: develop it and " + _SAVE
_HEIF = f"HEIF (HEIC): pip install pillow-heif, which is the extra 'heif', or {_SAVE}"
_AVIF = f"AVIF: update Pillow to 11.3 or later, or {_SAVE}"
_JXL, _JXR, _EXR, _FITS = (f"{name}, which is not read: {_SAVE}" for name in ("JPEG XL", "JPEG XR", "OpenEXR", "FITS"))
_LAYERS = f"an image of layers: merge them and {_SAVE}"
_DRAWING = f"a drawing or document, not pixels: {_SAVE}"

# Photographs that are found and named, although they are not read.
UNREAD = {
    **dict.fromkeys((".heic", ".heif", ".hif", ".heics", ".heifs"), _HEIF),
    **dict.fromkeys((".avif", ".avifs"), _AVIF),
    **dict.fromkeys((".jxr", ".wdp", ".hdp"), _JXR),
    **dict.fromkeys((".fits", ".fit"), _FITS),
    **dict.fromkeys((".xcf", ".psb"), _LAYERS),
    **dict.fromkeys((".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".gpr", ".iiq", ".k25", ".kdc",
                     ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2",
                     ".srf", ".srw", ".x3f"), _RAW),
    ".jxl": _JXL,
    ".exr": _EXR,
}  # fmt: skip

# What the first bytes of a file that Pillow does not identify say, by their position.
_MAGIC = [
    (0, b"\xff\x0a", _JXL),
    (0, b"\0\0\0\x0cJXL ", _JXL),
    (0, b"II\xbc\x01", _JXR),
    (0, b"v/1\x01", _EXR),
    (0, b"SIMPLE  =", _FITS),
    (0, b"gimp xcf", _LAYERS),
    (0, b"8BPS\0\2", _LAYERS),
    (0, b"8BPS", f"a Photoshop file of a kind that is not read, or damaged: {_SAVE} of 8 bits"),
    *((0, magic, _RAW) for magic in (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\0MRM")),
    (4, b"ftypcrx ", _RAW),
    (6, b"HEAPCCDR", _RAW),
    *(
        (0, magic, _DRAWING)
        for magic in (b"%!PS", b"%PDF", b"<svg", b"<?xml", b"\xd7\xcd\xc6\x9a", b"\xc5\xd0\xd3\xc6")
    ),
]
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SAMPLES = {1: "integer", 2: "signed integer", 3: "float", 5: "complex", 6: "complex"}  # TIFF's SampleFormat


@cache
def image_formats() -> tuple[str, ...]:
    """Return the names of the formats that Pillow itself decodes, in the order in which they are tried.

    HEIF is one of them where pillow-heif is installed.
    """
    Image.init()
    if find_spec("pillow_heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return tuple(sorted(set(Image.ID) - _NOT_DECODED, key=lambda name: (name not in ("JPEG", "PNG"), name)))


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of images: of formats that are read, and of those that are not and must be named."""
    formats = set(image_formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats) | {*UNREAD}


def is_raw(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file has the suffix of a raw photograph, which may look like a TIFF of its preview."""
    return UNREAD.get(Path(path).suffix.lower()) == _RAW


def what_it_is(path: str | os.PathLike[str]) -> str:
    """Say what a file is that Pillow does not identify, and what to do with it; raises OSError where it is gone."""
    with Path(path).open("rb") as file:
        head = file.read(64)
    suffix = Path(path).suffix.lower()
    if head[4:8] == b"ftyp":
        brands = head[8:]
        if b"avif" in brands or b"avis" in brands:
            return f"it is {_AVIF}"
        if any(brand in brands for brand in _HEIF_BRANDS):
            return "it is damaged HEIF" if "HEIF" in image_formats() else f"it is {_HEIF}"
    for place, magic, what in _MAGIC:
        if head[place:].startswith(magic):
            return f"it is {what}"
    if head.startswith(_TIFF):
        return f"it is {_RAW}" if suffix in UNREAD else _tiff(path)
    return "it is not an image, or damaged"


def _tiff(path: str | os.PathLike[str]) -> str:
    """Say what samples a TIFF holds that Pillow does not identify."""
    try:
        with Path(path).open("rb") as file:
            directory = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
            file.seek(directory.next)
            directory.load(file)
        if not {273, 324} & {*directory}:  # no pixels
            return "it is not an image, or damaged"
        bits, kinds = directory[258], directory.get(339, (1,))
        if directory.get(262) in (32803, 34892) or 50706 in directory:  # a color filter array, DNG
            return f"it is {_RAW}"
        sample = f"{'+'.join(map(str, bits))}-bit {_SAMPLES.get(kinds[0], 'unknown')}"
        what = f"a TIFF of {sample} samples (photometric interpretation {directory.get(262)})"
        return f"it is {what}, which is not read: save it with integers of 8 or 16 bits"
    except Exception:  # whatever damaged directories make Pillow raise
        return "it is not an image, or damaged"
