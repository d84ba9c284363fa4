"""Open any image file as a viewer would show it: 8-bit sRGB, upright, on white."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from colornet.data.listing import image_formats

__all__ = ["fit_square", "open_rgb", "scale_gray", "srgb_transform", "to_chw"]

_SRGB = ImageCms.createProfile("sRGB")


def open_rgb(path: str | os.PathLike[str], *, shorter_side: int = 0) -> Image.Image:
    """Open an image as RGB: EXIF orientation and color profile applied, transparency over white, the first frame.

    Gray of 16 bits, 32 bits or float is scaled to 8 bits. With `shorter_side` a JPEG may be decoded at 1/2, 1/4 or 1/8
    of its size, which is faster, as long as both sides keep that many pixels. Raises OSError for whatever cannot be
    decoded: not an image, truncated, or so large that it must be an attack.
    """
    try:
        with Image.open(path, formats=image_formats()) as image:
            if shorter_side:
                image.draft(None, (shorter_side, shorter_side))
            image.load()
            with suppress(Exception):  # whatever damaged EXIF data makes Pillow raise, the pixels are there
                ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except OSError:
        raise
    except Exception as error:  # a decoder raises what its parser trips over: SyntaxError, IndexError, struct.error, …
        raise OSError(f"cannot decode image file '{os.fspath(path)}': {error}") from error


def fit_square(image: Image.Image, side: int) -> Image.Image:
    """Resize an image to `side` pixels on its shorter side, antialiased, and cut out the center; exact if it fits."""
    return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)


def to_chw(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an RGB image as uint8 (3, H, W)."""
    return np.asarray(image).transpose(2, 0, 1)


def _to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(scale_gray(image, 255).astype(np.uint8))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    base = image.convert({"1": "L", "LA": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(image.mode, "RGB"))
    base.info.clear()  # or converting it would look at the transparency again
    transform = srgb_transform(profile, base.mode)
    rgb = transform.apply(base) if transform else base.convert("RGB")
    if alpha is None:
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    return Image.composite(rgb, white, alpha)


@lru_cache(maxsize=64)
def srgb_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what converts images of a mode from an embedded profile to sRGB; nothing if they are taken as they are.

    A profile that is damaged or made for another mode is ignored, as viewers do.
    """
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
