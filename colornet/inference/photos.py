"""Read photographs from files, and write their colored copies with the same metadata."""

from __future__ import annotations

import itertools
import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import GPSTAGS, IFD, TAGS, Base

from colornet.data.images import deep_alpha, is_deep_gray, open_image, scale_gray, srgb_transform, to_srgb
from colornet.data.orientation import upright
from colornet.files import replacing

MOST_SATURATION = 100  # above some hundreds, colors are lost where they are brought back into sRGB
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
# Formats of several frames. Those of an MPO are previews, those of a PSD are layers of one picture.
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
_SRGB = 1  # the value of EXIF's ColorSpace


@dataclass(frozen=True)
class Photo:
    """An upright photograph: gray uint8 or uint16 (H, W), or sRGB uint8 (H, W, 3), and its metadata."""

    pixels: NDArray[Any]
    alpha: NDArray[np.uint8] | None = None  # (H, W)
    exif: Image.Exif = field(default_factory=Image.Exif)
    dpi: tuple[float, float] | None = None  # horizontal, vertical
    page: str | None = None  # which one of several pages or frames it is


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
                return replace(to_photo(image), page=_page(image))
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


def write_photo(path: Path, rgb: NDArray[Any], origin: Photo) -> list[str]:
    """Write sRGB pixels (H, W, 3), uint8 or uint16, with the metadata of the photograph that they were made of.

    The format, of 8 bits, follows from the suffix, which `colored_name` chose. Returns what of the metadata cannot be
    written and was left out, by name. Raises OSError if it fails.
    """
    image_format, options = _WRITTEN[path.suffix.lower()]
    if image_format == "JPEG" and origin.alpha is not None:
        raise OSError(f"it has transparency, which a {path.suffix} cannot hold: rename it to what it is")
    exif, left_out = _encode_exif(origin.exif)  # as bytes: Pillow's TIFF writer cannot write the folders of an Exif
    found: dict[str, tuple[str, Any]] = {"resolution": ("dpi", origin.dpi), "EXIF": ("exif", exif)}
    names = [name for name, (_, value) in found.items() if value]
    image, first_error = to_image(rgb, origin.alpha), None
    for dropped in (subset for size in range(len(names) + 1) for subset in itertools.combinations(names, size)):
        metadata = dict(found[name] for name in names if name not in dropped)
        try:
            with replacing(path) as temporary:
                image.save(temporary, format=image_format, **options, **metadata)
            return [*left_out, *dropped]
        except (OSError, MemoryError):
            raise
        except Exception as error:  # encoders raise ValueError, struct.error, …: about the metadata or the pixels
            first_error = first_error or error
    raise OSError(f"its colored copy cannot be written: {first_error}") from first_error


def _encode_exif(exif: Image.Exif) -> tuple[bytes, list[str]]:
    """Encode EXIF data; return it, empty if there is none, and the names of the tags that cannot be encoded.

    Cameras write values that Pillow reads but does not write, such as an exposure bias of −2/0.
    """
    if (encoded := _encode(dict(exif))) is not None:
        return encoded, []
    kept: dict[int, Any] = {}
    left_out = []
    for tag, value in exif.items():
        folder = value if isinstance(value, dict) else None  # the EXIF or GPS folder
        for inner, one in (folder or {tag: value}).items():
            if _encode({tag: {inner: one}} if folder else {tag: one}) is None:
                left_out.append(str((GPSTAGS if tag == IFD.GPSInfo else TAGS).get(inner, f"EXIF tag {inner}")))
            elif folder:
                kept.setdefault(tag, {})[inner] = one
            else:
                kept[tag] = one
    return _encode(kept) or b"", left_out


def _encode(tags: dict[int, Any]) -> bytes | None:
    """Encode EXIF tags: empty if there are none, None if they cannot be encoded."""
    exif = Image.Exif()
    exif.update(tags)
    try:
        return exif.tobytes() if tags else b""
    except Exception:  # struct.error, ValueError, UnicodeEncodeError, …
        return None


def _page(image: Image.Image) -> str | None:
    if page := image.info.get("page"):
        return str(page)
    with suppress(Exception):  # damage to the other frames must not prevent coloring
        return "the first frame" if image.format in _ANIMATED and getattr(image, "is_animated", False) else None
    return None


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
