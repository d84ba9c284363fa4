"""Photographs small enough for tests."""

from __future__ import annotations

import skimage.data
from PIL import Image


def small_photo(height: int = 96) -> Image.Image:
    chelsea = Image.fromarray(skimage.data.chelsea())
    return chelsea.resize((round(height * 1.5), height), Image.Resampling.BICUBIC)
