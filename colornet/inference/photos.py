"""Read photographs from files, and write their colored copies with the same metadata."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD, Base

from colornet.data.images import deep_alpha, is_deep_gray, open_image, scale_gray, srgb_transform, to_srgb
from colornet.data.orientation import upright
from colornet.files import replacing

MAX_PIXELS = 300_000_000  # of a file; more is taken for an attack (Pillow's own limits are 89 and 179 million)

# Suffixes that a colored photograph keeps, with Pillow's format and options; all others become PNG.
# Subsampled chroma would blur the edges that the colors follow; Pillow writes EXIF into uncompressed TIFFs only.
_WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    **dict.fromkeys((".jpg", ".jpeg"), ("JPEG", {"quality": 95, "subsampling": "4:4:4"})),
    ".png": ("PNG", {}),
    ".webp": ("WEBP", {"quality": 95}),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF", {})),
}

# EXIF that describes the photograph. The rest describes the file's own layout, its thumbnail and its orientation.
_DESCRIPTIVE = (Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist,
                Base.HostComputer, Base.Copyright, Base.XPTitle, Base.XPComment, Base.XPAuthor, Base.XPKeywords,
                Base.XPSubject)  # fmt: skip
_SRGB = 1  # the value of EXIF's ColorSpace


@dataclass(frozen=True)
class Photo:
    """An upright photograph: gray uint8 or uint16 (H, W), or sRGB uint8 (H, W, 3), and its metadata."""

    pixels: NDArray[Any]
    alpha: NDArray[np.uint8] | None = None  # (H, W)
    exif: Image.Exif = field(default_factory=Image.Exif)
    dpi: tuple[float, float] | None = None  # horizontal, vertical


def colored_name(name: Path) -> Path:
    """Return the name of the colored version of a file: the same for JPEG, PNG, WebP and TIFF, else with `.png`."""
    return name if name.suffix.lower() in _WRITTEN else name.with_suffix(".png")


def read_photo(path: Path, *, max_pixels: int | None = None) -> Photo:
    """Read the first frame of an image file in any format that Pillow decodes.

    Raises OSError for a file that cannot be decoded or has more than `max_pixels`, meanwhile the limit of all threads.
    """
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels or MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # more pixels are an error
            with open_image(path) as image:
                image.load()
                return to_photo(image)
    finally:
        Image.MAX_IMAGE_PIXELS = before


def to_photo(image: Image.Image) -> Photo:
    """Convert a Pillow image of any mode: EXIF orientation and color profile are applied, alpha is kept apart.

    Gray of 16 bits stays so; of 32 bits or float it becomes 16. Raises ValueError for an image without pixels.
    """
    if not image.width or not image.height:
        raise ValueError(f"image has no pixels: {image.width} × {image.height}")
    exif, dpi, profile = _descriptive_exif(image), image.info.get("dpi"), image.info.get("icc_profile")
    size = image.size
    image = upright(image)
    if dpi and size != image.size:
        dpi = dpi[::-1]
    if is_deep_gray(image):
        values, alpha = np.asarray(image), deep_alpha(image)
        if values.dtype.kind != "u":  # of 32 bits or float
            values = scale_gray(image, 65535)
        values = values.astype(np.uint16)  # in the machine's order of bytes
        transform = srgb_transform(profile, "I;16")
        shown = np.array(transform.apply(Image.fromarray(values))) if transform else values
        return Photo(shown, None if alpha is None else np.array(alpha), exif, dpi)
    color, alpha = to_srgb(image, profile)
    return Photo(np.array(color), None if alpha is None else np.array(alpha), exif, dpi)


def to_image(rgb: NDArray[Any], alpha: NDArray[np.uint8] | None) -> Image.Image:
    """Make a Pillow image of sRGB pixels (H, W, 3) and, where there is one, their alpha (H, W): mode RGB or RGBA."""
    if rgb.dtype == np.uint16:  # Pillow has no RGB of 16 bits
        rgb = ((rgb - (rgb >> 8) + 127) >> 8).astype(np.uint8)  # v / 257, off by 0.502 at most, without larger arrays
    image = Image.fromarray(rgb)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image


def write_photo(path: Path, rgb: NDArray[Any], origin: Photo) -> None:
    """Write sRGB pixels (H, W, 3), uint8 or uint16, with the metadata of the photograph that they were made of.

    The format, of 8 bits, follows from the suffix, which `colored_name` chose. Raises OSError if it fails.
    """
    image_format, options = _WRITTEN[path.suffix.lower()]
    if image_format == "JPEG" and origin.alpha is not None:
        raise OSError(f"it has transparency, which a {path.suffix} cannot hold: rename it to what it is")
    if origin.dpi:
        options = options | {"dpi": origin.dpi}
    if origin.exif:  # as bytes: Pillow's TIFF writer cannot write the folders of an Exif
        options = options | {"exif": origin.exif.tobytes()}
    try:
        with replacing(path) as temporary:
            to_image(rgb, origin.alpha).save(temporary, format=image_format, **options)
    except OSError:
        raise
    except Exception as error:  # encoders raise ValueError, struct.error, …
        raise OSError(f"its colored copy cannot be written: {error}") from error


def _descriptive_exif(image: Image.Image) -> Image.Exif:
    kept = Image.Exif()
    with suppress(Exception):  # damaged EXIF data must not prevent coloring
        exif = image.getexif()
        kept.update((tag, exif[tag]) for tag in _DESCRIPTIVE if tag in exif)
        # The sizes are those before the rotation; the interoperability folder points into the old file.
        dropped = (Base.ExifImageWidth, Base.ExifImageHeight, Base.ExifInteroperabilityOffset)
        if details := {tag: value for tag, value in exif.get_ifd(IFD.Exif).items() if tag not in dropped}:
            kept[IFD.Exif] = details | {Base.ColorSpace: _SRGB}
        if place := dict(exif.get_ifd(IFD.GPSInfo)):
            kept[IFD.GPSInfo] = place
    return kept
