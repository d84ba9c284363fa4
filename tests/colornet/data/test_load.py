"""Data sets from real files: what is decoded, which part it goes to, what the cache keeps and what the user is told."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import weakref
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from safetensors.torch import load_file
from torchvision.datasets import CIFAR10

import colornet.data
from colornet.data import Dataset, check_dataset, default_cache_dir, folder, load_dataset, sample
from colornet.data.images import open_rgb, to_chw
from colornet.data.memory_map import map_images, read_ahead
from colornet.data.stream import stream
from colornet.errors import InputError

Pixels = NDArray[np.uint8]


def noise(count: int, side: int = 32, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def write_images(root: Path, images: Pixels, classes: tuple[str, ...] = ("",)) -> None:
    """Write images as PNG, dealt out to classes in turn: root/CLASS/0000.png."""
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(root / classes[number % len(classes)] / f"{number // len(classes):04}.png")


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


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 30 images."""
    write_images(tmp_path / "photos", noise(30))
    return tmp_path / "photos"


# --- One image ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dtype", "largest"),
    [
        ("gray.png", np.uint16, 65535),  # mode I;16
        ("gray.tif", ">u2", 65535),  # I;16B
        ("gray.tif", np.int32, 65535),  # I
        ("gray.tif", np.int32, 2**30),  # I, beyond 16 bits
        ("gray.tif", np.float32, 1),  # F
        ("gray.tif", np.float32, 255),
        ("gray.tif", np.float32, 4000),
        ("gray.pgm", np.uint16, 65535),
    ],
)
def test_gray_of_more_than_8_bits_keeps_its_gradient(tmp_path: Path, name: str, dtype: str, largest: float) -> None:
    gradient = np.arange(256, dtype=np.uint8).reshape(16, 16)
    deep = (gradient / 255.0 * largest).astype(dtype)
    result = shown(tmp_path / name, Image.fromarray(deep))
    assert np.abs(result - gradient[..., None].astype(int)).max() <= (largest == 2**30)  # rounded to float64


def test_deep_gray_of_one_shade_is_black(tmp_path: Path) -> None:
    assert not shown(tmp_path / "flat.tif", Image.fromarray(np.full((8, 8), 70_000, np.int32))).any()


UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {  # EXIF 2.32, 4.6.4 A: what to do with the stored rows
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = noise(1)[0][:20]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    result = shown(tmp_path / f"photo.{suffix}", Image.fromarray(stored), exif=exif, **options)
    assert np.array_equal(result, UPRIGHT[orientation](stored))


def test_damaged_exif_is_ignored(tmp_path: Path) -> None:
    pixels = noise(1)[0]
    assert np.array_equal(shown(tmp_path / "a.png", Image.fromarray(pixels), exif=b"Exif\0\0MM\0*\0"), pixels)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 0, 0),
        ("1", 1, 255),
        ("L", 100, 100),
        ("LA", (100, 255), 100),
        ("LA", (100, 0), 255),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), 255),
        ("RGBA", (0, 100, 255, 51), (204, 224, 255)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("CMYK", (0, 0, 0, 255), 0),
        ("LAB", (255, 128, 128), 255),
        ("LAB", (138, 209, 198), (255, 0, 0)),
    ],
)
def test_modes_become_rgb(tmp_path: Path, mode: str, color: int | tuple[int, ...], expected: object) -> None:
    image = Image.new(mode, (4, 4), color)
    suffix = "tif" if mode in ("CMYK", "LAB") else "png"
    result = shown(tmp_path / f"image.{suffix}", image)
    assert np.abs(result - np.broadcast_to(np.array(expected), (4, 4, 3))).max() <= (5 if mode == "LAB" else 2)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    result = shown(tmp_path / "print.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=100)
    assert np.abs(result - np.array((255, 0, 0))).max() <= 3


@pytest.mark.parametrize("transparency", [None, 1, bytes((255, 0))])
def test_palette_with_and_without_transparency(tmp_path: Path, transparency: int | bytes | None) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette((10, 20, 30, 40, 50, 60))
    image.putpixel((1, 0), 1)
    options = {} if transparency is None else {"transparency": transparency}
    result = shown(tmp_path / "palette.png", image, **options)
    assert result[0].tolist() == [[10, 20, 30], [40, 50, 60] if transparency is None else [255, 255, 255]]


@pytest.mark.parametrize(("mode", "key"), [("RGB", (1, 2, 3)), ("L", 7)])
def test_color_key_is_transparent(tmp_path: Path, mode: str, key: int | tuple[int, ...]) -> None:
    assert (shown(tmp_path / "key.png", Image.new(mode, (2, 2), key), transparency=key) == 255).all()


def swapped_profile() -> bytes:
    """An sRGB profile whose red and green primaries have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_embedded_profile_is_converted_to_srgb(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGB", (16, 16), (250, 120, 20))
    result = shown(tmp_path / f"wide.{suffix}", image, icc_profile=swapped_profile(), quality=100)
    assert np.abs(result - np.array((120, 250, 20))).max() <= 4


def test_profile_applies_beneath_transparency(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (250, 120, 20, 255))
    image.putpixel((1, 0), (250, 120, 20, 0))
    result = shown(tmp_path / "wide.png", image, icc_profile=swapped_profile())
    assert np.abs(result - np.array([[(120, 250, 20), (255, 255, 255)]])).max() <= 1


def test_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    pixels = noise(1)[0]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(shown(tmp_path / "srgb.png", Image.fromarray(pixels), icc_profile=profile), pixels)


@pytest.mark.parametrize("profile", [b"no profile", swapped_profile()[:300], swapped_profile()])
def test_damaged_or_unsuitable_profile_is_ignored(tmp_path: Path, profile: bytes) -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    result = shown(tmp_path / "gray.png", Image.fromarray(gray), icc_profile=profile)
    assert np.array_equal(result, np.repeat(gray[..., None], 3, axis=2))


def test_animation_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    result = shown(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (result == (255, 0, 0)).all()


def test_large_jpeg_is_decoded_smaller_but_not_too_small(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 1000, dtype=np.uint8)
    Image.fromarray(np.broadcast_to(ramp[:, None], (1000, 700))).convert("RGB").save(tmp_path / "a.jpg", quality=95)
    small = open_rgb(tmp_path / "a.jpg", shorter_side=64)
    assert small.size == (88, 125)
    assert open_rgb(tmp_path / "a.jpg", shorter_side=400).size == (700, 1000)
    full = open_rgb(tmp_path / "a.jpg").resize(small.size, Image.Resampling.BOX)
    assert np.abs(np.array(small, int) - np.array(full, int)).max() <= 3


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
        "text.jpg": b"This is no image.",
        "truncated.jpg": whole["jpg"][:-500],
        "truncated.png": whole["png"][:-5000],
        "wrong.png": whole["png"][:100] + b"\0" * 200 + whole["png"][300:],
    }


@pytest.mark.parametrize("name", damaged_files(Path()))
def test_what_cannot_be_decoded_is_an_os_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(damaged_files(tmp_path)[name])
    with pytest.raises(OSError, match="image file"):
        open_rgb(tmp_path / name)


def test_decompression_bomb_is_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(OSError, match=r"bomb\.png.*exceeds limit"):
        open_rgb(tmp_path / "bomb.png")


# --- A folder ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [32, 64])  # files decoded by one thread and by several
def test_images_of_the_right_size_come_through_exactly(
    tmp_path: Path, cache: Path, side: int, capfd: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "photos", noise(40, side))
    dataset = load_dataset(str(tmp_path / "photos"), image_size=side, cache_dir=cache, progress=True)
    images = torch.from_numpy(noise(40, side).transpose(0, 3, 1, 2).copy())
    assert torch.equal(dataset.test, images[9::10])
    assert torch.equal(dataset.validation, images[4::10])
    assert torch.equal(dataset.train, images[[i for i in range(40) if i % 5 != 4]])
    assert dataset.name == "photos"
    assert all(part.dtype == torch.uint8 and part.is_contiguous() for part in parts(dataset))
    assert capfd.readouterr() == ("", "")  # no bar without a terminal


def test_large_images_are_resized_and_cut_to_the_centre(tmp_path: Path, cache: Path) -> None:
    stripes = np.zeros((64, 256, 3), np.uint8)
    stripes[:, 96:160] = (200, 100, 50)  # the central square
    write_images(tmp_path / "wide", np.stack([stripes] * 3))
    dataset = load_dataset(str(tmp_path / "wide"), image_size=16, cache_dir=cache)
    assert dataset.train.shape == (1, 3, 16, 16)
    assert (dataset.train[0, :, :, 2:-2] == torch.tensor((200, 100, 50), dtype=torch.uint8)[:, None, None]).all()
    fine = np.indices((64, 64)).sum(0) % 2 * 255  # a checkerboard aliases unless it is smoothed first
    write_images(tmp_path / "fine", np.stack([np.repeat(fine[..., None], 3, 2).astype(np.uint8)] * 3))
    smooth = load_dataset(str(tmp_path / "fine"), image_size=16, cache_dir=cache).train
    assert (smooth.int() - 127).abs().max() < 8


def test_only_visible_images_are_found(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "mixed"
    write_images(root / "b" / "deep", noise(4))
    write_images(root / ".hidden", noise(4))
    write_images(root, noise(3, seed=1))
    Image.fromarray(noise(1, seed=2)[0]).save(root / "UPPER.BMP")
    Image.fromarray(noise(1, seed=2)[0]).save(root / "._UPPER.png")
    (root / "notes.txt").write_text("no image")
    (root / "folder.jpg").mkdir()
    (root / "b" / "loop").symlink_to(root)
    assert sum(map(len, parts(load_dataset(str(root), image_size=32, cache_dir=cache)))) == 8


def test_unreadable_files_are_left_out_and_named_again_from_the_cache(
    photos: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = load_dataset(str(photos), image_size=32, cache_dir=cache)
    (photos / "sub").mkdir()
    for name, content in damaged_files(photos).items():
        (photos / "sub" / name).write_bytes(content)
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    messages = []
    for _ in range(2):
        caplog.clear()
        dataset = load_dataset(str(photos), image_size=32, cache_dir=cache)
        messages.append([(record.name, record.levelno, record.getMessage()) for record in caplog.records])
        assert dataset.fingerprint == whole.fingerprint
    assert messages[0] == messages[1]
    ((logger, level, text),) = messages[0]
    assert (logger, level) == ("colornet.data", logging.WARNING)
    assert "7 file(s)" in text
    assert "gone.png, sub/empty.png" in text
    assert text.endswith(", …")


def test_a_folder_of_which_nothing_can_be_read_is_refused(tmp_path: Path, cache: Path) -> None:
    for name, content in damaged_files(tmp_path).items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"none of its 6 .*images can be read"):
        load_dataset(str(tmp_path), image_size=32, cache_dir=cache)


# --- Parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "sizes"), [(3, (1, 1, 1)), (9, (7, 1, 1)), (10, (8, 1, 1)), (25, (20, 3, 2))])
def test_parts_are_disjoint_complete_and_never_empty(
    tmp_path: Path, cache: Path, count: int, sizes: tuple[int, ...]
) -> None:
    write_images(tmp_path / "few", noise(count))
    dataset = load_dataset(str(tmp_path / "few"), image_size=32, cache_dir=cache)
    assert tuple(map(len, parts(dataset))) == sizes
    assert len(set.union(*map(identities, parts(dataset)))) == count


def test_too_few_images_are_refused(tmp_path: Path, cache: Path) -> None:
    write_images(tmp_path / "two", noise(2))
    with pytest.raises(InputError, match=r"two' holds 2 readable image\(s\): at least 3"):
        load_dataset(str(tmp_path / "two"), image_size=32, cache_dir=cache)
    write_images(tmp_path / "one" / "train", noise(1))
    write_images(tmp_path / "one" / "test", noise(5))
    with pytest.raises(InputError, match=r"train' holds 1 readable image\(s\) .* at least 2"):
        load_dataset(str(tmp_path / "one"), image_size=32, cache_dir=cache)


def test_parts_hold_the_same_share_of_every_class(tmp_path: Path, cache: Path) -> None:
    classes = ("cat", "dog", "owl")
    images = np.stack([np.full((8, 8, 3), number % 3 * 50 + 10, np.uint8) for number in range(90)])
    write_images(tmp_path / "zoo", images, classes)
    dataset = load_dataset(str(tmp_path / "zoo"), image_size=8, cache_dir=cache)
    for part, each in zip(parts(dataset), (24, 3, 3), strict=True):
        assert [int((part[:, 0, 0, 0] == value).sum()) for value in (10, 60, 110)] == [each] * 3


@pytest.mark.parametrize("name", ["", "val", "validation"])
def test_train_and_test_folders_are_taken_as_they_are(tmp_path: Path, cache: Path, name: str) -> None:
    train, test, validation = noise(20, seed=1), noise(6, seed=2), noise(5, seed=3)
    write_images(tmp_path / "set" / "train", train, ("a", "b"))
    write_images(tmp_path / "set" / "test", test, ("a", "b"))
    if name:
        write_images(tmp_path / "set" / name, validation)
    dataset = load_dataset(str(tmp_path / "set"), image_size=32, cache_dir=cache)
    assert tuple(map(len, parts(dataset))) == ((20, 5, 6) if name else (18, 2, 6))
    assert identities(dataset.test) == {image.transpose(2, 0, 1).tobytes() for image in test}
    if not name:  # positions 9 and 19 of a/0000 … a/0009, b/0000 …
        assert np.array_equal(dataset.validation.numpy(), train[[18, 19]].transpose(0, 3, 1, 2))


def test_val_without_test_is_the_test_set(tmp_path: Path, cache: Path) -> None:
    write_images(tmp_path / "imagenet" / "train", noise(20, seed=1))
    write_images(tmp_path / "imagenet" / "val", noise(6, seed=2))
    dataset = load_dataset(str(tmp_path / "imagenet"), image_size=32, cache_dir=cache)
    assert tuple(map(len, parts(dataset))) == (18, 2, 6)


# --- Classes -----------------------------------------------------------------------------------------------------


def painted(count: int, classes: int) -> Pixels:
    """Images whose red says their class and whose green says their number, as `write_images` deals them out."""
    return np.stack([np.full((8, 8, 3), (20 * (n % classes) + 10, n, 0), np.uint8) for n in range(count)])


def assert_classes_fit(dataset: Dataset, classes: tuple[str, ...]) -> None:
    """Every label is that of the image at its position, which the image itself says."""
    assert dataset.labels is not None
    assert dataset.labels.classes == classes
    labels = (dataset.labels.train, dataset.labels.validation, dataset.labels.test)
    for images, found in zip(parts(dataset), labels, strict=True):
        assert found.dtype == torch.int64
        assert torch.equal(found, images[:, 0, 0, 0].long() // 20)


@pytest.mark.parametrize("layout", ["whole", "test", "test, val", "val"])
def test_classes_are_the_folders_of_the_images(tmp_path: Path, cache: Path, layout: str) -> None:
    root, classes = tmp_path / "zoo", ("cat", "dog", "owl")
    below = {"whole": [""], "test": ["train", "test"], "test, val": ["train", "test", "val"], "val": ["train", "val"]}
    for part, count in zip(below[layout], (33, 8, 5), strict=False):
        write_images(root / part, painted(count, 3), classes)
    for damaged in ("cat/0003.png", "dog/0000.png", "owl/0001.png"):  # in every part: whoever comes after moves up
        for part in below[layout]:
            (root / part / damaged).write_bytes(b"no image")
    for _ in range(2):  # decoded, then from the cache
        dataset = load_dataset(str(root), image_size=8, cache_dir=cache)
        assert_classes_fit(dataset, classes)
    (stored,) = (cache / "decoded").iterdir()
    assert stored.is_file()


def test_classes_are_the_first_folders_whatever_is_below(tmp_path: Path, cache: Path) -> None:
    for part, count in (("train", 20), ("test", 4)):
        write_images(tmp_path / "deep" / part, painted(count, 2), ("cat/black/old", "dog/brown"))
    assert_classes_fit(load_dataset(str(tmp_path / "deep"), image_size=8, cache_dir=cache), ("cat", "dog"))


def test_a_class_may_be_missing_from_a_part(tmp_path: Path, cache: Path) -> None:
    write_images(tmp_path / "some" / "train", painted(30, 3), ("cat", "dog", "owl"))
    write_images(tmp_path / "some" / "test", painted(6, 3)[2::3], ("owl",))
    dataset = load_dataset(str(tmp_path / "some"), image_size=8, cache_dir=cache)
    assert_classes_fit(dataset, ("cat", "dog", "owl"))
    assert dataset.labels is not None
    assert dataset.labels.test.tolist() == [2, 2]


@pytest.mark.parametrize("place", ["", "train", "test"])
def test_images_outside_of_classes_leave_no_classes(tmp_path: Path, cache: Path, place: str) -> None:
    root = tmp_path / "mixed"
    for part in ("train", "test") if place else ("",):
        write_images(root / part, painted(20, 2), ("cat", "dog"))
    write_images(root / place, painted(1, 1))
    for _ in range(2):
        assert load_dataset(str(root), image_size=8, cache_dir=cache).labels is None


def test_the_sample_has_no_classes() -> None:
    assert load_dataset("sample", image_size=32).labels is None


# --- The cache ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cached(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Load `photos` into the cache; the paths decoded from now on are listed."""
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    decoded = []

    def watched(path: Path, *, shorter_side: int) -> Image.Image:
        decoded.append(path)
        return open_rgb(path, shorter_side=shorter_side)

    monkeypatch.setattr(folder, "open_rgb", watched)
    return decoded


def test_second_load_decodes_nothing(photos: Path, cache: Path, cached: list[Path]) -> None:
    again = load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert not cached
    fresh = load_dataset(str(photos), image_size=32, cache_dir=cache.with_name("other"))
    assert len(cached) == 30
    assert again.fingerprint == fresh.fingerprint
    assert all(torch.equal(a, b) for a, b in zip(parts(again), parts(fresh), strict=True))


def test_a_moved_folder_is_still_known(photos: Path, cache: Path, cached: list[Path]) -> None:
    moved = photos.rename(photos.with_name("moved"))
    assert load_dataset(str(moved), image_size=32, cache_dir=cache).name == "moved"
    assert not cached


@pytest.mark.parametrize("change", ["content", "time", "name", "more", "size"])
def test_a_change_is_noticed(photos: Path, cache: Path, cached: list[Path], change: str) -> None:
    before = load_dataset(str(photos), image_size=32, cache_dir=cache)
    image_size = 16 if change == "size" else 32
    if change == "content":
        Image.new("RGB", (32, 32)).save(photos / "0000.png")
    elif change == "time":
        os.utime(photos / "0000.png", (1, 1))
    elif change == "name":
        (photos / "0000.png").rename(photos / "9999.png")
    elif change == "more":
        write_images(photos / "more", noise(1, seed=1))
    after = load_dataset(str(photos), image_size=image_size, cache_dir=cache)
    assert len(cached) == (31 if change == "more" else 30)
    assert (after.fingerprint == before.fingerprint) == (change == "time")


@pytest.mark.parametrize("damage", ["empty", "truncated", "pixel", "header", "text"])
def test_a_damaged_cache_is_rebuilt(
    photos: Path, cache: Path, cached: list[Path], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = (cache / "decoded").iterdir()
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "truncated": whole[:-1000],
            "pixel": whole[:-1] + bytes([whole[-1] ^ 1]),
            "header": whole.replace(b'"fingerprint"', b'"fingerpaint"'),
            "text": b"not a safetensors file",
        }[damage]
    )
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert len(cached) == 30
    assert "damaged" in caplog.text
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert len(cached) == 30
    assert path.read_bytes()[1000:] == whole[1000:]


@pytest.mark.parametrize("images", [15, 30])  # of 30: it is full while they are decoded, or when they are stored
def test_a_full_disk_leaves_nothing_behind(photos: Path, cache: Path, images: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (images * 3072 + 8, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written \(File too large\).* --cache-dir or COLORNET_DATA"):
            load_dataset(str(photos), image_size=32, cache_dir=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((cache / "decoded").iterdir())
    assert len(load_dataset(str(photos), image_size=32, cache_dir=cache).train) == 24


def test_a_disk_that_will_be_full_is_named_before_anything_is_decoded(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "open_rgb", None)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100_000_000))
    with pytest.raises(InputError, match=r"\(0\.2 GB are needed for decoding and 0\.1 GB are free\)"):
        load_dataset(str(photos), image_size=1024, cache_dir=cache)


def test_images_lie_in_their_file_and_cannot_be_changed(photos: Path, cache: Path) -> None:
    images = load_dataset(str(photos), image_size=32, cache_dir=cache).train
    (path,) = (cache / "decoded").iterdir()
    assert load_file(path)["train"].equal(images)  # it is a safetensors file to others, too
    first = images.data_ptr()
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    maps = [line.split() for line in lines if path.name in line]
    assert any(int(m[0].split("-")[0], 16) <= first < int(m[0].split("-")[1], 16) and m[1] == "r--s" for m in maps)


def test_a_file_may_be_larger_than_memory(tmp_path: Path) -> None:
    path, count = tmp_path / "large.safetensors", 2**40 // 3072  # a terabyte, nearly all of which is a hole
    size = count * 3072
    header = json.dumps({"train": {"dtype": "U8", "shape": [count, 3, 32, 32], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.seek(size - 1, os.SEEK_CUR)
        file.write(b"\x07")
    images = map_images(path)["train"]
    assert images.shape == (count, 3, 32, 32)
    assert images[-1].sum() == 7
    chosen = np.array([count - 1, 5, count - 1])
    read_ahead(images, chosen)
    (batch,) = stream(images, chosen[None], torch.device("cpu"))
    assert batch.flatten(1).sum(1).tolist() == [7, 0, 7]


@pytest.mark.parametrize("side", [8, 64])  # files decoded by one thread and by several
def test_decoding_holds_few_images_in_memory(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    monkeypatch.setattr(folder, "_PIECE", 3 * side**2)  # as if one of them were large: one a task
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    write_images(tmp_path / "many", noise(60, side))
    alive, counts = set[int](), []

    def watched(image: Image.Image) -> Pixels:
        pixels = to_chw(image).copy()
        alive.add(id(pixels))
        weakref.finalize(pixels, alive.discard, id(pixels))
        counts.append(len(alive))
        return pixels

    monkeypatch.setattr(folder, "to_chw", watched)
    dataset = load_dataset(str(tmp_path / "many"), image_size=side, cache_dir=cache)
    assert torch.equal(dataset.test, torch.from_numpy(noise(60, side).transpose(0, 3, 1, 2)[9::10].copy()))
    assert max(counts) <= 8


def test_an_unwritable_cache_is_named_before_anything_is_decoded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "open_rgb", None)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"Cache folder '.*file/decoded' cannot be written .* --cache-dir"):
        load_dataset(str(photos), image_size=32, cache_dir=tmp_path / "file")


def test_cache_dir_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("COLORNET_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache_dir() == Path("/home/me/.cache/colornet")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_cache_dir() == Path("/xdg/colornet")
    monkeypatch.setenv("COLORNET_DATA", "~/data")
    assert default_cache_dir() == Path("/home/me/data")


# --- CIFAR-10 ----------------------------------------------------------------------------------------------------


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Pixels, NDArray[np.int64]]:
    """Small CIFAR-10 files in the original layout, not in the cache: their folder, training images and labels."""
    source = tmp_path / "source" / "cifar-10-batches-py"
    source.mkdir(parents=True)
    images, labels = noise(200), np.random.default_rng(1).permutation(np.arange(200) % 10)
    batches: dict[str, object] = {"batches.meta": {"label_names": [f"class{label}" for label in range(10)]}}
    for number in range(5):
        chosen = slice(40 * number, 40 * number + 40)
        batches[f"data_batch_{number + 1}"] = {
            "data": images[chosen].transpose(0, 3, 1, 2).reshape(40, -1),
            "labels": labels[chosen].tolist(),
        }
    test = noise(20, seed=2).transpose(0, 3, 1, 2).reshape(20, -1)
    batches["test_batch"] = {"data": test, "labels": [number % 10 for number in range(20)]}
    md5 = {}
    for name, batch in batches.items():
        content = pickle.dumps(batch, protocol=2)
        (source / name).write_bytes(content)
        md5[name] = hashlib.md5(content).hexdigest()
    with tarfile.open(tmp_path / "source" / CIFAR10.filename, "w:gz") as archive:
        archive.add(source, source.name)
    archive_md5 = hashlib.md5((tmp_path / "source" / CIFAR10.filename).read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{n}", md5[f"data_batch_{n}"]] for n in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", archive_md5)
    return tmp_path / "source", images, labels


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)


Cifar = tuple[Path, Pixels, NDArray[np.int64]]


def test_cifar10_is_found_again_offline(cifar10: Cifar, cache: Path) -> None:
    source, images, labels = cifar10
    cache.mkdir()
    source.rename(cache / "cifar10")
    dataset = load_dataset("cifar10", image_size=32, cache_dir=cache)
    assert tuple(map(len, parts(dataset))) == (180, 20, 20)
    ordered = images[np.argsort(labels, kind="stable")].transpose(0, 3, 1, 2)
    assert np.array_equal(dataset.validation.numpy(), ordered[9::10])
    assert all(part.is_contiguous() for part in parts(dataset))
    assert dataset.name == "cifar10"
    assert dataset.labels is not None
    assert dataset.labels.classes == tuple(f"class{label}" for label in range(10))
    classes = {image.transpose(2, 0, 1).tobytes(): label for image, label in zip(images, labels, strict=True)}
    for part, found in ((dataset.train, dataset.labels.train), (dataset.validation, dataset.labels.validation)):
        assert found.tolist() == [classes[image.numpy().tobytes()] for image in part]
    assert dataset.labels.test.tolist() == [number // 2 for number in range(20)]


def test_cifar10_is_unpacked_from_an_archive_put_there(
    cifar10: Cifar, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (cache / "cifar10").mkdir(parents=True)
    (cifar10[0] / CIFAR10.filename).rename(cache / "cifar10" / CIFAR10.filename)
    assert len(load_dataset("cifar10", image_size=32, cache_dir=cache).train) == 180
    assert capfd.readouterr() == ("", "")


def test_cifar10_and_its_copy_as_a_folder_are_the_same_data(cifar10: Cifar, cache: Path, tmp_path: Path) -> None:
    source, images, labels = cifar10
    for label in range(10):
        write_images(tmp_path / "copy" / "train" / f"class{label}", images[labels == label])
        write_images(tmp_path / "copy" / "test" / f"class{label}", noise(20, seed=2)[label::10])
    cache.mkdir()
    source.rename(cache / "cifar10")
    for image_size in (32, 48):
        original = load_dataset("cifar10", image_size=image_size, cache_dir=cache)
        copy = load_dataset(str(tmp_path / "copy"), image_size=image_size, cache_dir=cache)
        assert copy.fingerprint == original.fingerprint
        assert copy.labels is not None
        assert original.labels is not None
        assert copy.labels.classes == original.labels.classes
        for part in ("train", "validation", "test"):
            assert torch.equal(getattr(copy.labels, part), getattr(original.labels, part))
        assert original.train.shape[-2:] == (image_size, image_size)


def test_cifar10_out_of_reach_names_every_way_out(cache: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_dataset("cifar10", image_size=32, cache_dir=cache)
    for words in (
        str(cache / "cifar10"),
        "Name or service",
        "cifar-10-python.tar.gz",
        "--data FOLDER",
        "--data sample",
    ):
        assert words in str(caught.value)


# --- The sample --------------------------------------------------------------------------------------------------


def test_sample_needs_no_network_and_is_always_the_same(cache: Path) -> None:
    dataset = load_dataset("sample", image_size=32, cache_dir=cache)
    assert tuple(map(len, parts(dataset))) == (2430, 600, 570)
    assert dataset.train.shape[1:] == (3, 32, 32)
    assert dataset.fingerprint == load_dataset("sample", image_size=32, cache_dir=cache).fingerprint
    assert not cache.exists()
    seen = [identities(part) for part in parts(dataset)]
    assert all(a.isdisjoint(b) for a, b in combinations(seen, 2))


@pytest.mark.parametrize("image_size", [8, 17, 32, 106])
def test_sample_blocks_belong_to_one_part_and_never_mix(monkeypatch: pytest.MonkeyPatch, image_size: int) -> None:
    """Every block painted in a color of its own: a patch must have one color, a color one part."""
    painted, number = [], 0
    for photo in sample.sample_photos().values():
        rows, columns = photo.height // (3 * image_size), photo.width // (3 * image_size)
        blocks = np.arange(number, number + rows * columns).reshape(rows, columns)
        number += rows * columns
        pixels = np.full((photo.height, photo.width), 2**16 - 1)
        pixels[: rows * 3 * image_size, : columns * 3 * image_size] = np.kron(
            blocks, np.ones((3 * image_size,) * 2, int)
        )
        painted.append(Image.fromarray(np.stack((pixels % 256, pixels // 256, 0 * pixels), -1).astype(np.uint8)))
    monkeypatch.setattr(sample, "sample_photos", lambda: dict(enumerate(painted)))
    owners = []
    for part in parts(load_dataset("sample", image_size=image_size)):
        corner = part[:, :, :1, :1]
        assert torch.equal(part, corner.expand_as(part))
        owners.append(set((corner[:, 0] + 256 * corner[:, 1].int()).flatten().tolist()))
    assert sorted(block for owner in owners for block in owner) == list(range(number))
    assert all(number / 12 < len(owner) < number / 4 for owner in owners[1:])


def test_sample_larger_than_its_photographs_names_the_largest_size() -> None:
    with pytest.raises(InputError, match=r"no images of 107 pixels: .* at most 106"):
        load_dataset("sample", image_size=107)


# --- Before anything heavy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("cifar-10", r"'cifar-10' is neither a known name \(cifar10, sample\) nor a folder: did you mean 'cifar10'\?"),
        ("CIFAR10", "did you mean 'cifar10'"),
        ("samples", "did you mean 'sample'"),
        ("no/such/folder", "neither .* full path"),
        ("set.zip", "is a file, not a folder"),
        ("empty", "empty' holds no images"),
        ("half", "half/test' holds no images"),
    ],
)
def test_check_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set.zip").write_bytes(b"PK")
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    (tmp_path / "half" / "test").mkdir(parents=True)
    write_images(tmp_path / "half" / "train", noise(3))
    with pytest.raises(InputError, match=message):
        check_dataset(data)
    with pytest.raises(InputError, match=message):
        load_dataset(data, image_size=32)


def test_check_accepts_what_exists(photos: Path) -> None:
    for data in ("cifar10", "sample", str(photos)):
        check_dataset(data)


def test_a_folder_that_cannot_be_listed_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(InputError, match=r"photos' cannot be read \(Permission denied\)"):
        check_dataset(str(photos))


def test_check_does_not_import_torch() -> None:
    code = (
        "import sys, colornet.data; from colornet.data.check import check_dataset; check_dataset('sample'); "
        "assert 'torch' not in sys.modules; colornet.data.load_dataset; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_package_offers_what_it_names() -> None:
    for name in colornet.data.__all__:
        assert getattr(colornet.data, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        colornet.data.nothing  # noqa: B018
