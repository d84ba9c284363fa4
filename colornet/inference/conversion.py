"""Convert the images that a `Colorizer` takes and returns, Pillow's, arrays and tensors, to batches and back."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from colornet.color import to_uint8
from colornet.files import expanded
from colornet.inference.photos import read_photo, to_image, to_photo

_LEVELS = {torch.uint8: 255, torch.uint16: 65535, torch.float16: 1, torch.bfloat16: 1, torch.float32: 1,
           torch.float64: 1}  # fmt: skip


def to_rgb(pixels: Tensor, device: torch.device) -> Tensor:
    """Return pixels (N, 1|3, R, W) of any dtype as sRGB (N, 3, R, W) in [0, 1], float32 on a device."""
    values = pixels.contiguous().to(device).to(torch.float32) / _LEVELS[pixels.dtype]
    return values.expand(-1, 3, -1, -1)


def from_rgb(rgb: Tensor, dtype: torch.dtype) -> Tensor:
    """Return sRGB (N, 3, R, W) in [0, 1] as pixels of a dtype; integers are rounded."""
    if dtype == torch.uint8:
        return to_uint8(rgb)
    return rgb.mul(_LEVELS[dtype]).round().to(dtype) if dtype == torch.uint16 else rgb.to(dtype)


def to_batch(image: Any) -> tuple[Tensor, NDArray[np.uint8] | None]:
    """Return an image of any kind as a batch (N, 1|3, H, W), a view where possible, and its alpha (H, W) if any.

    Raises TypeError for other kinds and dtypes, ValueError for other shapes and values.
    """
    alpha = None
    if isinstance(image, (Image.Image, str, os.PathLike)):
        photo = to_photo(image) if isinstance(image, Image.Image) else read_photo(expanded(image))
        image, alpha = photo.pixels, photo.alpha
    if isinstance(image, np.ndarray):
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
            raise ValueError(f"an array must be (H, W), (H, W, 1) or (H, W, 3), not {image.shape}")
        if image.dtype.name not in ("uint8", "uint16", "float16", "float32", "float64"):
            raise TypeError(f"an array must be of uint8, uint16 or floats, not {image.dtype}")
        # torch shares memory that is in the machine's order of bytes, writable and without negative strides.
        image = torch.from_numpy(np.require(image, image.dtype.newbyteorder("="), ["C", "W"]))
        batch = (image[..., None] if image.ndim == 2 else image).permute(2, 0, 1)[None]  # (1, 1|3, H, W)
    elif isinstance(image, Tensor):
        if image.ndim not in (3, 4) or image.shape[-3] not in (1, 3):
            raise ValueError(f"a tensor must be (C, H, W) or (N, C, H, W) with C 1 or 3, not {tuple(image.shape)}")
        batch = image if image.ndim == 4 else image[None]
    else:
        raise TypeError(f"an image must be a Pillow image, an array, a tensor or a path, not {type(image).__name__}")
    if batch.dtype not in _LEVELS:
        raise TypeError(f"a tensor must be of uint8, uint16 or floats, not {batch.dtype}")
    if not batch.numel():
        raise ValueError(f"image has no pixels: its shape is {tuple(batch.shape)}")
    if batch.is_floating_point():
        low, high = (bound.item() for bound in batch.aminmax())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"values of floats must be in [0, 1], not from {low} to {high}")
    return batch, alpha


def as_given(original: Any, joined: Tensor, alpha: NDArray[np.uint8] | None) -> Any:
    """Return a colored batch (N, 3, H, W) as the kind of image that was given."""
    if isinstance(original, Tensor):
        return joined if original.ndim == 4 else joined[0]
    array = np.ascontiguousarray(joined[0].permute(1, 2, 0).numpy())  # (H, W, 3)
    return to_image(array, alpha) if isinstance(original, (Image.Image, str, os.PathLike)) else array
