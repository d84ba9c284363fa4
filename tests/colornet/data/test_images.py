"""Image files of every kind, decoded as a viewer would show them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from colornet.data import images
from colornet.data.budget import PixelBudget
from colornet.data.images import is_passing, open_rgb
from colornet.inference.photos import read_photo
from tests.colornet.data.files import Pixels, damaged_files, noise, shown, swapped_profile
from tests.colornet.test_hostile import png, tiff


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


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-100.0, 4000.0)])
def test_infinite_gray_is_black_or_white_and_leaves_the_rest(tmp_path: Path, low: float, high: float) -> None:
    gradient = np.arange(256, dtype=np.uint8).reshape(16, 16)
    values = (low + gradient / 255.0 * (high - low)).astype(np.float32)
    values[3, :3], gradient[3, :3] = (np.inf, -np.inf, np.nan), (255, 0, 0)
    assert np.array_equal(shown(tmp_path / "holes.tif", Image.fromarray(values)), np.dstack([gradient] * 3))
    photo = read_photo(tmp_path / "holes.tif")
    assert np.array_equal((photo.pixels / 257.0).round(), gradient)


def test_gray_without_a_number_is_black(tmp_path: Path) -> None:
    assert not shown(tmp_path / "none.tif", Image.fromarray(np.full((8, 8), np.nan, np.float32))).any()


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


def exif(*entries: tuple[int, int, int, int], values: bytes = b"") -> bytes:
    """EXIF with entries of tag, type, count and value; `values`, at byte 200, are what others point to."""
    return b"Exif\0\0" + tiff(*entries).ljust(200, b"\0") + values


BESIDE_ORIENTATION = {
    "a phone's ExposureBias of -2/0": exif(
        (0x0112, 3, 1, 6),
        (0x8769, 4, 1, 200),
        values=tiff((0x9204, 10, 1, 240))[8:].ljust(40, b"\0") + b"\xfe\xff\xff\xff\0\0\0\0",
    ),
    "a maker out of the data": exif((0x010F, 2, 900, 5000), (0x0112, 3, 1, 6)),
    "a date of an unknown type": exif((0x0112, 3, 1, 6), (0x0132, 99, 7, 7)),
    "a folder out of the data": exif((0x0112, 3, 1, 6), (0x8769, 4, 1, 2**31)),
    "a resolution of 1/0": exif(
        (0x0112, 3, 1, 6), (0x011A, 5, 1, 200), (0x0128, 3, 1, 2), values=b"\1\0\0\0" + bytes(4)
    ),
    "a cut end": exif((0x0112, 3, 1, 6), (0x0132, 2, 20, 100))[:40],
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Possibly corrupt EXIF", "ignore:Truncated File Read")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("damage", BESIDE_ORIENTATION)
def test_damage_beside_it_costs_no_orientation(tmp_path: Path, damage: str, suffix: str) -> None:
    image = Image.fromarray(noise(1)[0][:20])
    assert shown(tmp_path / f"a.{suffix}", image, exif=BESIDE_ORIENTATION[damage]).shape == (32, 20, 3)
    assert read_photo(tmp_path / f"a.{suffix}").pixels.shape == (32, 20, 3)


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


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_color_key_of_any_depth_is_transparent(tmp_path: Path, depth: int) -> None:
    most = 2**depth - 1
    row = np.array([1, 0, most, 0], ">u2" if depth == 16 else np.uint8)
    packed = (
        row.tobytes()
        if depth >= 8
        else sum(int(v) << (8 - depth * (i + 1)) for i, v in enumerate(row)).to_bytes(2, "big")[-1:]
        if depth < 4
        else bytes((1 * 16, 15 * 16))
    )
    file = png(4, 1, (b"tRNS", (1).to_bytes(2, "big")), pixels=b"\0" + packed, kind=(depth, 0))
    (tmp_path / "key.png").write_bytes(file)
    assert np.array(open_rgb(tmp_path / "key.png"))[0, :, 0].tolist() == [255, 0, 255, 0]
    photo = read_photo(tmp_path / "key.png")
    assert photo.alpha is not None
    assert photo.alpha[0].tolist() == ([0, 255, 0, 255] if depth == 1 else [0, 255, 255, 255])


def test_color_key_of_16_bit_color_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.png").write_bytes(png(1, 1, (b"tRNS", bytes(6)), pixels=bytes(7), kind=(16, 2)))
    with pytest.raises(OSError, match="one transparent color, which is not read: save it with alpha"):
        open_rgb(tmp_path / "key.png")


def test_opaque_alpha_is_no_transparency(tmp_path: Path) -> None:
    pixels = np.dstack([noise(1)[0], np.full((32, 32), 255, np.uint8)])
    assert np.array_equal(shown(tmp_path / "a.png", Image.fromarray(pixels)), pixels[..., :3])
    assert read_photo(tmp_path / "a.png").alpha is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I", "F"])
def test_pieces_are_converted_as_the_whole(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64) * 16)
    deep = {"I;16": ramp, "I": ramp.convert("I"), "F": Image.fromarray(np.asarray(ramp, np.float32) - 100)}
    color = Image.fromarray(noise(1, 64)[0])
    image = deep[mode] if mode in deep else color if mode == "LAB" else color.convert(mode)
    image = Image.frombytes("LAB", color.size, color.tobytes()) if mode == "LAB" else image
    exif = Image.Exif()
    exif[0x0112] = 6
    suffix = "tif" if mode in ("CMYK", "LAB", "I", "F") else "png"
    whole = shown(tmp_path / f"a.{suffix}", image, exif=exif)
    for piece in (1000, 50):  # rows, and parts of rows
        monkeypatch.setattr(images, "_PIECE", piece)
        assert np.array_equal(np.array(open_rgb(tmp_path / f"a.{suffix}")), whole)


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


@pytest.mark.parametrize("name", damaged_files(Path()))
def test_what_cannot_be_decoded_is_an_os_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(damaged_files(tmp_path)[name])
    with pytest.raises(
        OSError, match=r"it (is not an image|is a drawing|cannot be decoded)|image file is truncated|broken"
    ):
        open_rgb(tmp_path / name)


def test_decompression_bomb_is_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(OSError, match=r"it has more than 0\.0001 megapixels, the limit"):
        open_rgb(tmp_path / "bomb.png")


def test_a_side_of_many_millions_of_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1, 50_000_000))
    with pytest.raises(OSError, match="a side of more than 20 million pixels"):
        open_rgb(tmp_path / "a.png")


def test_a_lack_of_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setattr(images, "to_srgb", full)
    with pytest.raises(OSError, match="not enough memory to decode it") as caught:
        open_rgb(tmp_path / "a.png")
    assert is_passing(caught.value)


def test_threads_share_one_budget_of_pixels() -> None:
    budget, held, most = PixelBudget(100), [0], [0]
    lock = threading.Lock()

    def work(pixels: int) -> None:
        with budget.hold(pixels):
            with lock:
                held[0] += pixels
                most[0] = max(most[0], held[0])
            time.sleep(0.001)
            with lock:
                held[0] -= pixels

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [30, 60, 45, 100, 10, 99, 1] * 8))
    assert most[0] <= 100
    with budget.hold(1000):  # alone
        assert budget.used == 100
    assert budget.used == 0


MEASURE = """
import resource, sys
from PIL import Image
from colornet.data.images import open_square
Image.MAX_IMAGE_PIXELS = 10**9
open_square(sys.argv[2], 32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
open_square(sys.argv[1], 32)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize(
    ("size", "mode", "suffix"),
    [((4000, 5000), "F", "tif"), ((10_000_000, 1), "RGBA", "png"), ((2, 5_000_000), "I;16", "png")],
)
def test_memory_is_bounded_by_the_pixels(tmp_path: Path, size: tuple[int, int], mode: str, suffix: str) -> None:
    for name, sides in (("large", size), ("small", (64, 64))):
        Image.new(mode, sides).save(
            tmp_path / f"{name}.{suffix}", compression="tiff_deflate" if suffix == "tif" else None
        )
    command = [sys.executable, "-c", MEASURE, *(str(tmp_path / f"{name}.{suffix}") for name in ("large", "small"))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(result.stdout) < 14 * size[0] * size[1] + 50e6
