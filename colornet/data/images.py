"""Decode any image file as a viewer would show it: sRGB, upright."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from colornet.data import tiff
from colornet.data.budget import PixelBudget
from colornet.data.formats import image_formats, what_it_is
from colornet.data.orientation import orientation, turned
from colornet.data.repair import mended

PIXEL_BUDGET = 200_000_000  # pixels that all threads together decode at a time: some 2 GB
_LONGEST = 20_000_000  # pixels of a side; more is taken for an attack: every row takes memory of its own
_PIECE = 2**20  # pixels that are converted at a time
_MENDED = 2**28  # bytes of a file that may be mended

_TRANSFORMS = 8  # of color profiles that are kept, some megabytes each
_transforms: dict[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = {}
_transforms_lock = threading.Lock()
_SRGB = ImageCms.createProfile("sRGB")
PngImagePlugin.MAX_TEXT_CHUNK = 2**24  # Pillow's 1 MB is less than some color profiles have

_budget = PixelBudget(PIXEL_BUDGET)


@contextmanager
def open_image(path: str | os.PathLike[str], *, shorter_side: int = 0) -> Iterator[Image.Image]:
    """Open and decode the first frame of an image file; of a TIFF the first page that is not a preview.

    With `shorter_side` a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is faster, as long as both sides
    keep that many pixels. All threads together hold `PIXEL_BUDGET` pixels within the blocks: others wait.

    Raises OSError, within the block too, with a sentence for a file that cannot be decoded or exceeds
    `Image.MAX_IMAGE_PIXELS`. `errno` is set only where the file is not to blame, but the system: see `is_passing`.
    """
    with ExitStack() as stack:
        try:
            if not stat.S_ISREG(Path(path).stat().st_mode):
                raise OSError("it is not a file")  # a pipe would be waited for
            try:
                image = _decode(stack, path, path, shorter_side)
            except (OSError, ValueError, SyntaxError) as error:
                if isinstance(error, UnidentifiedImageError) or (data := _mended(path, error)) is None:
                    raise
                image = _decode(stack, path, BytesIO(data), shorter_side)
            yield image
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            limit = (Image.MAX_IMAGE_PIXELS or 0) / 10**6
            raise OSError(f"it has more than {limit:g} megapixels, the limit") from error
        except UnidentifiedImageError as error:
            raise OSError(what_it_is(path)) from error
        except OSError:
            raise
        except MemoryError as error:
            raise OSError(errno.ENOMEM, "there is not enough memory to decode it") from error
        except Exception as error:  # decoders raise SyntaxError, IndexError, struct.error, …
            raise OSError(f"it cannot be decoded: {error}") from error


def is_passing(error: OSError) -> bool:
    """Tell whether reading an image failed for a reason outside the file's content: permissions, memory, a bad disk."""
    return error.errno not in (None, errno.EINVAL, errno.EOVERFLOW)  # a damaged file makes decoders seek anywhere


def _decode(
    stack: ExitStack, path: str | os.PathLike[str], source: str | os.PathLike[str] | IO[bytes], shorter_side: int
) -> Image.Image:
    """Decode a source, the file at `path` or its mended bytes, within the budget; the stack frees both."""
    with ExitStack() as attempt:
        image = attempt.enter_context(Image.open(source, formats=image_formats()))
        if isinstance(image, TiffImageFile):
            tiff.choose_page(image, path)
            tiff.prepare(image)
        if max(image.size) > _LONGEST:
            raise OSError(f"it has a side of more than {_LONGEST / 10**6:g} million pixels, the limit")
        pixels = image.width * image.height
        if shorter_side and isinstance(image, JpegImageFile):  # of other formats, some plugins give a thumbnail
            image.draft(None, (shorter_side, shorter_side))
        if not image.info.get("progressive"):  # all of a progressive JPEG is in memory, even if it is drafted
            pixels = image.width * image.height
        attempt.enter_context(_budget.hold(pixels))
        _scale_color_key(image)
        image.load()
        stack.enter_context(attempt.pop_all())
        return tiff.corrected(image) if isinstance(image, TiffImageFile) else image


def _mended(path: str | os.PathLike[str], error: Exception) -> bytes | None:
    """Return what can be decoded in place of a file that Pillow refused; None if the refusal is right."""
    if isinstance(error, OSError) and is_passing(error):
        return None
    file = Path(path)
    if file.stat().st_size > _MENDED:
        return None
    data = file.read_bytes()
    with suppress(OSError, ValueError, SyntaxError, IndexError, struct.error):  # damaged in more than one way
        return mended(data)
    return None


def _scale_color_key(image: Image.Image) -> None:
    """Scale the transparent gray of a PNG, which Pillow leaves as it is stored, to the 8 bits of its pixels."""
    key = image.info.get("transparency")
    if not isinstance(image, PngImagePlugin.PngImageFile) or not image.tile or not isinstance(key, (int, tuple)):
        return
    stored = image.tile[0].args
    if stored in ("1", "L;2", "L;4") and isinstance(key, int):
        most = {"1": 1, "L;2": 3, "L;4": 15}[stored]
        image.info["transparency"] = (key & most) * (255 // most)  # the lowest bits count; Pillow 12.1 made 1 bit 255
    elif stored == "RGB;16B":  # decoded to 8 bits, which do not tell similar colors apart
        raise OSError("it is a PNG of 16 bits with one transparent color, which is not read: save it with alpha")


def open_rgb(path: str | os.PathLike[str], *, shorter_side: int = 0) -> Image.Image:
    """Open an image file as RGB of 8 bits: upright, its color profile applied, transparency over white.

    `shorter_side` and errors are those of `open_image`.
    """
    with open_image(path, shorter_side=shorter_side) as image:
        return _to_rgb(image)


def open_square(path: str | os.PathLike[str], side: int) -> Image.Image:
    """Open an image file as `open_rgb` does, and fit it into a square, as `fit_square` does, within the budget."""
    # The resampling filter needs twice the size; decoding more of a large JPEG changes nothing visible.
    with open_image(path, shorter_side=2 * side) as image:
        return fit_square(_to_rgb(image), side)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image piece by piece, so that only the image and the result take memory."""
    rgb = Image.new("RGB", image.size)
    limits = gray_limits(image) if is_deep_gray(image) else None
    for box in _pieces(image):
        part = image if box == (0, 0, *image.size) else image.crop(box)
        if limits is not None:
            color, alpha = Image.fromarray(scale_gray(part, 255, limits).astype(np.uint8)), deep_alpha(part)
        else:
            color, alpha = to_srgb(part, image.info.get("icc_profile"))
        color = color.convert("RGB")
        rgb.paste(color if alpha is None else Image.composite(color, Image.new("RGB", color.size, "white"), alpha), box)
    if page := image.info.get("page"):
        rgb.info["page"] = page
    return turned(rgb, orientation(image))


def _pieces(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of at most `_PIECE` pixels that cover an image."""
    width = min(image.width, _PIECE)
    height = max(_PIECE // max(width, 1), 1)
    for top in range(0, image.height, height):
        for left in range(0, image.width, width):
            yield left, top, min(left + width, image.width), min(top + height, image.height)


def is_deep_gray(image: Image.Image) -> bool:
    """Tell whether an image is gray of 16 bits, 32 bits or float: `scale_gray` and not `to_srgb` takes those."""
    return image.mode == "F" or image.mode.startswith("I")


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, Image.Image | None]:
    """Convert an image of 8 bits and any mode from its color profile to sRGB; return it and its alpha, mode L.

    The result is RGB; gray without a profile stays mode L. The alpha is None where nothing is transparent.
    """
    if image.mode in ("La", "RGBa"):  # colors multiplied by alpha
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if alpha is not None and alpha.getextrema() == (255, 255):
        alpha = None  # nothing is transparent
    if image.mode in ("P", "PA"):
        image = image.convert("RGB" if alpha is None else "RGBA")
    base = image.convert({"1": "L", "LA": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(image.mode, "RGB"))
    base.info.clear()  # or converting it would look at the transparency again
    if transform := srgb_transform(profile, base.mode):
        return transform.apply(base), alpha
    return base if base.mode in ("L", "RGB") else base.convert("RGB"), alpha


def deep_alpha(image: Image.Image) -> Image.Image | None:
    """Return the alpha, mode L, of gray of 16 bits of which one shade is transparent (PNG); None for other images."""
    key = image.info.get("transparency")
    if not isinstance(key, int) or not image.mode.startswith("I;16"):
        return None
    return Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))


def srgb_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from an embedded profile to sRGB; None without one, or if damaged or for another mode."""
    if not profile and mode != "LAB":
        return None
    key = hashlib.sha256(profile or b"").digest(), mode  # a profile may have megabytes
    with _transforms_lock:
        if key in _transforms:
            return _transforms[key]
    transform = None
    if mode == "LAB":
        transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), _SRGB, mode, "RGB")
    elif profile:
        with suppress(ImageCms.PyCMSError):
            transform = ImageCms.buildTransform(BytesIO(profile), _SRGB, mode, "RGB")
    with _transforms_lock:
        while len(_transforms) >= _TRANSFORMS:
            del _transforms[next(iter(_transforms))]
        _transforms[key] = transform
    return transform


def gray_limits(image: Image.Image) -> tuple[float, float]:
    """Return the value of black in gray of 16 bits, 32 bits or float, and how much more white is.

    Integers are taken as 16 bits and floats as [0, 1] or [0, 255] where they fit that; else from darkest to brightest.
    Infinity and NaN do not count.
    """
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    low, high = math.inf, -math.inf
    for box in _pieces(image):
        values = _gray_values(image, box)
        low = min(low, float(values.min(initial=math.inf, where=np.isfinite(values))))
        high = max(high, float(values.max(initial=-math.inf, where=np.isfinite(values))))
    if low > high:  # no value is a number
        return 0.0, 1.0
    limits = (1.0, 255.0) if image.mode == "F" else (65535.0,)
    limit = next((limit for limit in limits if low >= 0 and high <= limit), None)
    return (0.0, limit) if limit is not None else (low, (high - low) or 1.0)  # one shade becomes black


def scale_gray(image: Image.Image, levels: int, limits: tuple[float, float] | None = None) -> NDArray[np.uint16]:
    """Scale gray of 16 bits, 32 bits or float to whole numbers from 0 to `levels`: (H, W).

    `limits` are those of `gray_limits`, by default of this image. NaN is black, as −∞ is; ∞ is white.
    """
    black, white = limits or gray_limits(image)
    scaled = np.empty((image.height, image.width), np.uint16)
    for left, top, right, bottom in _pieces(image):
        values = (_gray_values(image, (left, top, right, bottom)) - black) * (levels / white)
        scaled[top:bottom, left:right] = np.nan_to_num(values).clip(0, levels).round()
    return scaled


def _gray_values(image: Image.Image, box: tuple[int, int, int, int]) -> NDArray[np.float64]:
    return np.asarray(image.crop(box), np.float64)


def fit_square(image: Image.Image, side: int) -> Image.Image:
    """Resize an image to `side` pixels on its shorter side, antialiased, and cut out the center; exact if it fits."""
    return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)


def to_chw(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an RGB image as uint8 (3, H, W)."""
    return np.asarray(image).transpose(2, 0, 1)
