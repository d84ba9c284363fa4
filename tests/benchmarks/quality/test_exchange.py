"""Images for other programs and from them: gray inputs out, their colorings in, and files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.quality.exchange import gray_images, read_images, write_images
from colornet.color import rgb_to_lab, to_float
from colornet.errors import InputError
from colornet.metrics.evaluator import CIFAR10_CLASSES
from tests.images import photos, random_pixels


def test_exported_images_come_back_the_same(tmp_path: Path) -> None:
    grays = gray_images(photos())
    for labels, classes in ((torch.arange(40) % 10, CIFAR10_CLASSES), (None, ())):
        root = tmp_path / str(len(classes))
        write_images(root, grays, labels, classes)
        assert torch.equal(read_images(root, photos(), labels, classes), grays[:, :1].expand_as(grays))
    names = {path.relative_to(tmp_path / "10").as_posix() for path in (tmp_path / "10").rglob("*.png")}
    assert names == {f"{name}/{index:04d}.png" for name in CIFAR10_CLASSES for index in range(4)}
    with Image.open(tmp_path / "10" / "ship" / "0002.png") as image:  # the third image of the ninth class
        assert image.mode == "L"
        assert np.array_equal(np.array(image), grays[28, 0].numpy())
    assert (tmp_path / "0" / "images" / "0039.png").is_file()


def test_exported_grays_hold_the_lightness_at_8_bits() -> None:
    images = torch.cat((photos(), random_pixels(20)))
    grays = gray_images(images)
    assert (grays.int() - grays[:, :1].int()).abs().max() <= 1  # white is not exactly (1, 1, 1): one is written
    levels = rgb_to_lab(torch.arange(256).double().view(256, 1, 1, 1).expand(256, 3, 1, 1) / 255)[:, 0, 0, 0]
    step = levels.diff().max().item()  # of 8-bit sRGB, in L*
    eight_bits = (rgb_to_lab(to_float(images).double())[:, 0] * 2.55).round() / 2.55
    error = (levels[grays[:, 0].long()] - eight_bits).abs()
    assert error.max() <= 0.51 * step
    assert error.max() > 0.2 * step


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "size"])
def test_unusable_images_are_named(damage: str, tmp_path: Path) -> None:
    labels = torch.arange(40) % 10
    write_images(tmp_path, gray_images(photos()), labels, CIFAR10_CLASSES)
    path = tmp_path / "cat" / "0002.png"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
        (tmp_path / "dog" / "0001.png").unlink()
    elif damage == "size":
        Image.new("RGB", (32, 31)).save(path)
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    with pytest.raises(InputError) as caught:
        read_images(tmp_path, photos(), labels, CIFAR10_CLASSES)
    message = str(caught.value)
    assert {
        "missing": "lacks 2 of 40 images, the first is dog/0001.png: color every file",  # in the order of the data
        "truncated": f"{path} cannot be read (",
        "empty": f"{path} cannot be read (",
        "size": f"{path} has 32×31 pixels: it must have 32×32.",
    }[damage] in message
    assert "\n" not in message
