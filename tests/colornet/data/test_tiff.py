"""TIFF files whose tags decide what the samples mean."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from colornet.data.images import open_image, open_rgb

GRAY = np.arange(256, dtype=np.uint8).reshape(16, 16)
DEEP = GRAY.astype(np.uint16) * 257
COLOR = np.stack([DEEP, DEEP.T, DEEP[::-1]], -1)  # (16, 16, 3)


def shown(path: Path, pixels: NDArray[Any], **options: Any) -> NDArray[np.int64]:
    tifffile.imwrite(path, pixels, **options)
    return np.array(open_rgb(path), np.int64)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "pixels",
    [DEEP, DEEP.astype(np.int32), (GRAY / 255).astype(np.float32), GRAY.astype(np.int16) * 257],
    ids=["uint16", "int32", "float32", "int16"],
)
def test_deep_gray_of_both_orders_of_bytes(
    tmp_path: Path, pixels: NDArray[Any], byteorder: str, compression: str | None
) -> None:
    pixels = np.where(pixels < 0, 0, pixels).astype(pixels.dtype)
    options = {"photometric": "minisblack", "byteorder": byteorder, "compression": compression}
    expected = (pixels / (1 if pixels.dtype == np.float32 else 65535) * 255).round()
    assert np.array_equal(shown(tmp_path / "a.tif", pixels, **options)[..., 0], expected)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_white_is_zero_is_no_negative(tmp_path: Path, compression: str | None) -> None:
    for pixels in (255 - GRAY, 65535 - DEEP):
        result = shown(tmp_path / "a.tif", pixels, photometric="miniswhite", compression=compression)
        assert np.array_equal(result[..., 1], GRAY)


def test_32_bits_do_not_wrap(tmp_path: Path) -> None:
    result = shown(tmp_path / "a.tif", DEEP.astype(np.uint32) * 65537, photometric="minisblack")
    assert np.array_equal(result[..., 0], GRAY)


def test_12_bits_are_all_that_there_are(tmp_path: Path) -> None:
    values = (np.arange(256, dtype=np.uint32) * 4095 + 127) // 255
    packed = bytearray()
    for first, second in values.reshape(-1, 2).tolist():
        packed += ((first << 12) | second).to_bytes(3, "big")
    entries = [(256, 4, 16), (257, 4, 16), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 200), (279, 4, len(packed))]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    (tmp_path / "a.tif").write_bytes(head.ljust(200, b"\0") + packed)
    assert np.abs(np.array(open_rgb(tmp_path / "a.tif"), int)[..., 0] - GRAY).max() <= 1


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 5}, {"tile": (16, 16)}], ids=["whole", "strips", "tiles"])
@pytest.mark.parametrize("alpha", [False, True])
def test_16_bit_planes(tmp_path: Path, byteorder: str, options: dict[str, Any], alpha: bool) -> None:
    pixels = np.tile(COLOR, (2, 2, 1))[:24]
    planes = np.moveaxis(pixels, -1, 0)
    if alpha:
        planes = np.concatenate([planes, np.full_like(planes[:1], 65535)])
        options = {**options, "extrasamples": ["unassalpha"]}
    options = {**options, "photometric": "rgb", "planarconfig": "separate", "byteorder": byteorder}
    assert np.array_equal(shown(tmp_path / "a.tif", np.ascontiguousarray(planes), **options), pixels // 257)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        ((GRAY / 255).astype(np.float16), {"photometric": "minisblack"}, "TIFF of 16-bit float samples"),
        ((GRAY / 255).astype(np.float64), {"photometric": "minisblack"}, "TIFF of 64-bit float samples"),
        ((COLOR / 65535).astype(np.float32), {"photometric": "rgb"}, r"TIFF of 32\+32\+32-bit float samples"),
        (np.stack([DEEP, DEEP], -1), {"photometric": "minisblack", "extrasamples": [2]}, r"TIFF of 16\+16-bit integer"),
        (GRAY.astype(np.int8), {"photometric": "minisblack"}, "TIFF of signed 8-bit integers"),
        ((GRAY / 255).astype(np.float32), {"photometric": "miniswhite"}, "floats whose white is zero"),
        (DEEP, {"photometric": "cfa"}, "a camera's raw photograph"),
    ],
)
def test_kinds_that_are_not_read_are_named(
    tmp_path: Path, pixels: NDArray[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OSError, match=f"it is .*{message}.*save it"):
        shown(tmp_path / "a.tif", pixels, **options)


def write_pages(path: Path, *pages: tuple[int, NDArray[Any]]) -> None:
    with tifffile.TiffWriter(path) as writer:
        for kind, pixels in pages:
            writer.write(pixels, subfiletype=kind, photometric="rgb", metadata=None)


def test_the_page_that_is_no_preview_is_read(tmp_path: Path) -> None:
    small, middle, full = (np.full((side, side, 3), side, np.uint8) for side in (8, 16, 32))
    write_pages(tmp_path / "a.tif", (1, small), (1, middle), (0, full))
    assert np.array_equal(np.array(open_rgb(tmp_path / "a.tif")), full)
    write_pages(tmp_path / "preview.tif", (1, small))
    with pytest.raises(OSError, match="only a preview"):
        open_rgb(tmp_path / "preview.tif")


def test_several_pages_are_noted(tmp_path: Path) -> None:
    pages = [np.full((8, 8, 3), value, np.uint8) for value in (10, 20, 30)]
    write_pages(tmp_path / "scan.tif", *((2, page) for page in pages))
    with open_image(tmp_path / "scan.tif") as image:
        assert image.info["page"] == "page 1 of 3"
        assert image.getpixel((0, 0)) == (10, 10, 10)
    write_pages(tmp_path / "pyramid.tif", (0, pages[0]), (1, pages[1][:4, :4]))
    with open_image(tmp_path / "pyramid.tif") as image:
        assert "page" not in image.info


def test_a_raw_photograph_is_not_its_preview(tmp_path: Path) -> None:
    preview = io.BytesIO()
    Image.fromarray((COLOR // 257).astype(np.uint8)).save(preview, "TIFF")
    (tmp_path / "a.NEF").write_bytes(preview.getvalue())
    with pytest.raises(OSError, match=r"raw photograph.* develop it"):
        open_rgb(tmp_path / "a.NEF")
    tifffile.imwrite(tmp_path / "dng.tif", COLOR, photometric="rgb", extratags=[(50706, 1, 4, (1, 4, 0, 0), True)])
    with pytest.raises(OSError, match=r"raw photograph.* develop it"):
        open_rgb(tmp_path / "dng.tif")
