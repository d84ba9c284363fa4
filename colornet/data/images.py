"""Decode any image file as a viewer would show it: sRGB, upright."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base
from PIL.Image import Transpose

from colornet.data.listing import image_formats

_SRGB = ImageCms.createProfile("sRGB")

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


@contextmanager
def open_image(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open the first frame of an image file in any format that Pillow itself decodes.

    Raises OSError, within the block too, for a file that cannot be decoded or exceeds `Image.MAX_IMAGE_PIXELS`.
    """
    try:
        with Image.open(path, formats=image_formats()) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) / 10**6
        raise OSError(f"it has more than {limit:g} megapixels, the limit") from error
    except UnidentifiedImageError as error:
        raise OSError("it is not an image, or damaged") from error
    except OSError:
        raise
    except Exception as error:  # decoders raise SyntaxError, IndexError, struct.error, …
        raise OSError(f"it cannot be decoded: {error}") from error


def open_rgb(path: str | os.PathLike[str], *, shorter_side: int = 0) -> Image.Image:
    """Open an image file as RGB of 8 bits: upright, its color profile applied, transparency over white.

    With `shorter_side` a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is faster, as long as both sides
    keep that many pixels. Raises OSError as `open_image` does.
    """
    with open_image(path) as image:
        if shorter_side:
            image.draft(None, (shorter_side, shorter_side))
        image.load()
        profile = image.info.get("icc_profile")
        oriented = upright(image)
        if is_deep_gray(oriented):
            oriented = Image.fromarray(scale_gray(oriented, 255).astype(np.uint8))
        color, alpha = to_srgb(oriented, profile)
        rgb = color.convert("RGB")
        return rgb if alpha is None else Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF orientation says, or the image itself."""
    with suppress(Exception):  # no orientation, or whatever damaged EXIF data makes Pillow raise
        return image.transpose(_UPRIGHT[image.getexif()[Base.Orientation]])
    return image


def is_deep_gray(image: Image.Image) -> bool:
    """Tell whether an image is gray of 16 bits, 32 bits or float: `scale_gray` and not `to_srgb` takes those."""
    return image.mode == "F" or image.mode.startswith("I")


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, Image.Image | None]:
    """Convert an image of 8 bits and any mode from its color profile to sRGB; return it and its alpha, mode L, if any.

    The result is RGB; gray without a profile stays mode L.
    """
    if image.mode in ("La", "RGBa"):  # colors multiplied by alpha
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if image.mode in ("P", "PA"):
        image = image.convert("RGB" if alpha is None else "RGBA")
    base = image.convert({"1": "L", "LA": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(image.mode, "RGB"))
    base.info.clear()  # or converting it would look at the transparency again
    if transform := srgb_transform(profile, base.mode):
        return transform.apply(base), alpha
    return base if base.mode in ("L", "RGB") else base.convert("RGB"), alpha


@lru_cache(maxsize=64)
def srgb_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from an embedded profile to sRGB; None without one, or if damaged or for another mode."""
    if mode == "LAB":
        return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _SRGB, mode, "RGB")
    if profile:
        with suppress(ImageCms.PyCMSError):
            return ImageCms.buildTransform(BytesIO(profile), _SRGB, mode, "RGB")
    return None


def scale_gray(image: Image.Image, levels: int) -> NDArray[np.float64]:
    """Scale gray of 16 bits, 32 bits or float to whole numbers from 0 to `levels`: (H, W).

    Integers are taken as 16 bits and floats as [0, 1] or [0, 255] where they fit that; else from darkest to brightest.
    """
    values = np.nan_to_num(np.asarray(image, np.float64))
    low, high = values.min(), values.max()
    limits = (1.0, 255.0) if image.mode == "F" else (65535.0,)
    limit = next((limit for limit in limits if low >= 0 and high <= limit), None)
    if limit is None:
        values, limit = values - low, (high - low) or 1.0  # one shade becomes black
    return (values * (levels / limit)).round()


def fit_square(image: Image.Image, side: int) -> Image.Image:
    """Resize an image to `side` pixels on its shorter side, antialiased, and cut out the center; exact if it fits."""
    return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)


def to_chw(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an RGB image as uint8 (3, H, W)."""
    return np.asarray(image).transpose(2, 0, 1)
