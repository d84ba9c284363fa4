"""Images that several test files share: of CIFAR-10, of noise, and made up."""

from __future__ import annotations

import functools
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from colornet.color import rgb_to_lab

FIXTURE = Path(__file__).parent / "fixtures" / "cifar10_jpeg_test_40.png"
ARCHIVE = Path(__file__).parents[2] / "shared" / "data" / "cifar10-jpeg.tar.gz"


def random_pixels(n: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=generator)


def photos() -> Tensor:
    """The fixture: 10 columns of classes by 4 rows of images NNNN = 0001 … 0004, uint8 (40, 3, 32, 32)."""
    with Image.open(FIXTURE) as montage:
        pixels = torch.from_numpy(np.array(montage))  # (4 * 32, 10 * 32, 3)
    return pixels.view(4, 32, 10, 32, 3).permute(0, 2, 4, 1, 3).reshape(40, 3, 32, 32)


def cifar10_jpeg_files() -> Iterator[IO[bytes]]:
    """Open the test images of cifar10-jpeg one by one, from $COLORNET_CIFAR10_JPEG or else from the archive."""
    folder = os.environ.get("COLORNET_CIFAR10_JPEG")
    if folder:
        for path in sorted(Path(folder, "test").glob("*/*.jpg")):
            with path.open("rb") as file:
                yield file
    elif ARCHIVE.exists():
        with tarfile.open(ARCHIVE) as archive:
            for member in archive:
                if re.search(r"(^|/)test/\w+/\d+\.jpg$", member.name):
                    content = archive.extractfile(member)
                    assert content is not None
                    yield content
    else:
        pytest.skip(f"needs the cifar10-jpeg images: set COLORNET_CIFAR10_JPEG, or put the archive at {ARCHIVE}")


@functools.cache
def cifar10_jpeg_test_images() -> Tensor:
    """Read the test images of cifar10-jpeg once for all test files, or skip the test that asks for them."""
    images = [torch.from_numpy(np.array(Image.open(file).convert("RGB"))) for file in cifar10_jpeg_files()]
    return torch.stack(images).movedim(-1, 1).contiguous()  # (10_000, 3, 32, 32)


def photo(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Make a smooth picture in color, uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    waves = [np.sin(x / 17 + phase) * np.cos(y / 11 + 2 * phase) for phase in (0, 1, 2)]
    return ((np.stack(waves, -1) * 0.4 + 0.5 + rng.uniform(-0.02, 0.02, (height, width, 1))) * 255).astype(np.uint8)


def lightness(pixels: Any) -> Tensor:
    """Return the L* of an image (H, W, 3) of uint8 or uint16."""
    values = torch.from_numpy(np.asarray(pixels, np.float64) / np.iinfo(np.asarray(pixels).dtype).max)
    return rgb_to_lab(values.permute(2, 0, 1))[0]
