"""Image files that several tests of data sets write."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from colornet.data import Dataset
from colornet.data.images import open_rgb
from colornet.metrics.evaluator import CIFAR10_CLASSES

Pixels = NDArray[np.uint8]


def noise(count: int, side: int = 32, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def write_images(root: Path, images: Pixels, classes: tuple[str, ...] = ("",)) -> None:
    """Write images as PNG, dealt out to classes in turn: root/CLASS/0000.png."""
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(root / classes[number % len(classes)] / f"{number // len(classes):04}.png")


def parquet(images: Pixels, labels: NDArray[np.int64]) -> bytes:
    """Write images and their classes as the Hub does."""
    import pyarrow
    import pyarrow.parquet

    rows = []
    for image in images:
        Image.fromarray(image).save(encoded := io.BytesIO(), "PNG")
        rows.append({"bytes": encoded.getvalue(), "path": None})
    table = pyarrow.table({"img": rows, "label": labels})
    features = {"img": {"_type": "Image"}, "label": {"names": CIFAR10_CLASSES, "_type": "ClassLabel"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pyarrow.parquet.write_table(table, buffer := io.BytesIO())
    return buffer.getvalue()


def shown(path: Path, image: Image.Image, **options: Any) -> Pixels:
    """The pixels that `open_rgb` makes of an image saved at `path`."""
    image.save(path, **options)
    opened = open_rgb(path)
    assert opened.mode == "RGB"
    return np.array(opened)


def identities(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def parts(dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return dataset.train, dataset.validation, dataset.test


def damaged_files(root: Path) -> dict[str, bytes]:
    """Files that cannot be decoded, by name."""
    whole = {}
    for suffix in ("jpg", "png"):
        buffer = io.BytesIO()
        Image.fromarray(noise(1, 64)[0]).save(buffer, {"jpg": "JPEG", "png": "PNG"}[suffix])
        whole[suffix] = buffer.getvalue()
    return {
        "empty.png": b"",
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
        "text.jpg": b"This is not an image.",
        "truncated.jpg": whole["jpg"][:-500],
        "truncated.png": whole["png"][:-5000],
        "wrong.png": whole["png"][:100] + b"\0" * 200 + whole["png"][300:],
    }


def swapped_profile() -> bytes:
    """An sRGB profile whose red and green primaries have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")
