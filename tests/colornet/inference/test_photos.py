"""Photograph files: every kind is read correctly, and written with its metadata."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from colornet.inference.photos import Photo, colored_name, read_photo, to_photo, write_photo
from tests.colornet.data.files import swapped_profile


def gradient(height: int = 20, width: int = 30) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Make pixels (height, width, 3) of which no two are equal, nor a channel to another."""
    y, x = np.mgrid[:height, :width]
    return np.stack((x * 8, y * 12, 255 - x * 4 - y * 4), axis=-1).astype(np.uint8)


def linear_gray_profile() -> bytes:
    """Return an ICC profile of gray whose values are proportional to luminance."""
    white = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"gray\0" + bytes(78) + bytes(1),
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IHH", 1, 256, 0),  # gamma 1.0
    }
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I", start + len(body)) + bytes(4) + struct.pack(">I", 0x02100000) + b"mntrGRAYXYZ "
    return head.ljust(36, b"\0") + b"acsp".ljust(32, b"\0") + white.ljust(60, b"\0") + table + body


def camera_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Copyright], exif[Base.Orientation] = "Leica", "me", orientation
    exif[IFD.Exif] = {Base.DateTimeOriginal: "1954:07:01 12:00:00", Base.FNumber: 5.6, Base.ExifImageWidth: 30,
                      Base.ColorSpace: 65535}  # fmt: skip
    exif[IFD.GPSInfo] = {1: "N", 2: (52.0, 31.0, 12.0)}
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_pixels_are_upright_and_what_is_known_is_kept(suffix: str, orientation: int, tmp_path: Path) -> None:
    pixels = gradient()
    turned = {1: pixels, 3: pixels[::-1, ::-1], 6: np.rot90(pixels)}[orientation]  # as a turned camera stores them
    path = tmp_path / f"photo.{suffix}"
    lossless: dict[str, dict[str, Any]] = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}
    exif = camera_exif(orientation).tobytes()
    Image.fromarray(turned).save(path, dpi=(300, 200), exif=exif, **lossless.get(suffix, {}))
    photo = read_photo(path)
    assert photo.pixels.shape == pixels.shape
    assert np.abs(photo.pixels.astype(int) - pixels).max() <= (3 if suffix == "jpg" else 0)

    out = tmp_path / "out" / path.name
    write_photo(out, photo.pixels, photo)
    with Image.open(out) as image:
        assert image.size == (30, 20)
        assert image.mode == "RGB"
        kept = image.getexif()
        assert kept.get(Base.Orientation, 1) == 1
        assert (kept[Base.Make], kept[Base.Copyright]) == ("Leica", "me")
        details = kept.get_ifd(IFD.Exif)
        assert details[Base.DateTimeOriginal] == "1954:07:01 12:00:00"
        assert float(details[Base.FNumber]) == pytest.approx(5.6)
        assert details[Base.ColorSpace] == 1  # sRGB
        assert Base.ExifImageWidth not in details
        assert kept.get_ifd(IFD.GPSInfo)[1] == "N"
        if suffix != "webp":  # which has no place for it but EXIF
            # Pillow turns a TIFF itself, and leaves its resolution as it was.
            expected = (200, 300) if orientation == 6 and suffix != "tif" else (300, 200)
            assert tuple(map(float, image.info["dpi"])) == pytest.approx(expected, abs=0.01)
        assert np.abs(np.asarray(image).astype(int) - photo.pixels).max() <= {"jpg": 6, "webp": 40}.get(suffix, 0)


def test_gray_stays_one_channel_and_deep(tmp_path: Path) -> None:
    deep = (np.arange(600).reshape(20, 30) * 109).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    photo = read_photo(tmp_path / "deep.png")
    assert photo.pixels.dtype == np.uint16
    assert np.array_equal(photo.pixels, deep)
    Image.fromarray((deep / 65535).astype(np.float32)).save(tmp_path / "float.tif")
    assert np.array_equal(read_photo(tmp_path / "float.tif").pixels, deep)
    Image.fromarray(gradient()[..., 0]).save(tmp_path / "gray.png")
    assert np.array_equal(read_photo(tmp_path / "gray.png").pixels, gradient()[..., 0])


def test_deep_pixels_are_written_at_8_bits(tmp_path: Path) -> None:
    deep = np.arange(3 * 256 * 256).reshape(256, 256, 3).astype(np.uint16)
    write_photo(tmp_path / "deep.png", deep, Photo(deep))
    with Image.open(tmp_path / "deep.png") as image:
        assert np.abs(np.asarray(image) - deep / 257).max() < 0.503


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "L"])
def test_transparency_is_kept(kind: str, tmp_path: Path) -> None:
    alpha = gradient()[..., 1]
    if kind in ("RGBA", "LA"):
        image = Image.fromarray(gradient()).convert(kind)
        image.putalpha(Image.fromarray(alpha))
        image.save(tmp_path / "in.png")
    else:  # one color is transparent
        image = Image.fromarray(gradient()[..., 0]).convert(kind)
        image.save(tmp_path / "in.png", transparency=0)
        alpha = np.where(np.asarray(image) == 0, 0, 255).astype(np.uint8)
    photo = read_photo(tmp_path / "in.png")
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, alpha)
    write_photo(tmp_path / "out.png", gradient(), photo)
    with Image.open(tmp_path / "out.png") as written:
        assert written.mode == "RGBA"
        assert np.array_equal(np.asarray(written), np.dstack((gradient(), alpha)))
    with pytest.raises(OSError, match=r"has transparency, which a \.jpg cannot hold"):
        write_photo(tmp_path / "out.jpg", gradient(), photo)
    assert not (tmp_path / "out.jpg").exists()


def test_what_cannot_be_encoded_leaves_no_file(tmp_path: Path) -> None:
    wide = np.zeros((1, 70_000, 3), np.uint8)  # JPEG and WebP have 16 bits for the sides, and fewer
    for name in ("photo.jpg", "photo.webp"):
        with pytest.raises(OSError, match=r"."):
            write_photo(tmp_path / name, wide, Photo(wide, exif=camera_exif(), dpi=(300, 300)))
    assert list(tmp_path.iterdir()) == []


def odd_exif() -> bytes:
    """Return EXIF of orientation 6 whose ExposureBiasValue is −2/0, as a telephone wrote it, beside sound tags."""
    make, numbers = 8 + 2 + 3 * 12 + 4, 8 + 2 + 3 * 12 + 4 + 8 + 2 + 2 * 12 + 4
    first = struct.pack("<HHIIHHIHHHHII", 0x010F, 2, 6, make, 0x0112, 3, 1, 6, 0, 0x8769, 4, 1, make + 8)
    details = struct.pack("<HHIIHHII", 0x829D, 5, 1, numbers, 0x9204, 10, 1, numbers + 8)
    return (
        b"Exif\0\0II*\0" + struct.pack("<IH", 8, 3) + first + bytes(4) + b"Phone\0\0\0"
        + struct.pack("<H", 2) + details + bytes(4) + struct.pack("<IIii", 56, 10, -2, 0)
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_metadata_that_can_be_read_but_not_written_costs_nothing_else(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "in.jpg", exif=odd_exif())
    photo = read_photo(tmp_path / "in.jpg")
    assert photo.pixels.shape == (30, 20, 3)  # upright
    assert write_photo(tmp_path / f"out.{suffix}", photo.pixels, photo) == ["ExposureBiasValue"]
    with Image.open(tmp_path / f"out.{suffix}") as image:
        assert image.size == (20, 30)
        assert image.getexif()[Base.Make] == "Phone"
        assert float(image.getexif().get_ifd(IFD.Exif)[Base.FNumber]) == pytest.approx(5.6)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(
    "dpi", [(1e30, 1e30), (float("nan"), 1.0), (-1.0, 72.0), (float("inf"), 1.0), (70_000, 70_000)]
)
def test_absurd_resolutions_cost_no_photograph(suffix: str, dpi: tuple[float, float], tmp_path: Path) -> None:
    left_out = write_photo(tmp_path / f"out.{suffix}", gradient(), Photo(gradient(), exif=camera_exif(), dpi=dpi))
    assert set(left_out) <= {"resolution"}
    with Image.open(tmp_path / f"out.{suffix}") as image:
        assert image.size == (30, 20)
        assert image.getexif()[Base.Make] == "Leica"


def test_metadata_that_is_too_long_is_left_out(tmp_path: Path) -> None:
    exif = camera_exif()
    exif[Base.ImageDescription] = "x" * 70_000  # JPEG has room for 65,533 bytes
    assert write_photo(tmp_path / "out.jpg", gradient(), Photo(gradient(), exif=exif, dpi=(300, 300))) == ["EXIF"]
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["dpi"] == (300, 300)


def test_opaque_transparency_is_none_for_jpeg(tmp_path: Path) -> None:
    Image.fromarray(gradient()).convert("RGBA").save(tmp_path / "opaque.jpg", format="PNG")
    write_photo(tmp_path / "out.jpg", gradient(), read_photo(tmp_path / "opaque.jpg"))
    with Image.open(tmp_path / "out.jpg") as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")


@pytest.mark.parametrize(
    ("name", "page"),
    [("a.tif", "page 1 of 3"), ("a.gif", "the first frame"), ("a.webp", "the first frame"), ("one.tif", None)],
)
def test_files_of_several_pages_are_known(name: str, page: str | None, tmp_path: Path) -> None:
    pages = [Image.fromarray(np.roll(gradient(), shift, axis=0)) for shift in (0, 5, 9)]
    more: dict[str, Any] = {"save_all": True, "append_images": pages[1:]} if page else {}
    pages[0].save(tmp_path / name, **more)
    photo = read_photo(tmp_path / name)
    assert photo.page == page
    if name.endswith("tif"):
        assert np.array_equal(photo.pixels, gradient())


def test_profile_of_color_is_converted_to_srgb_and_not_passed_on(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "swapped.png", icc_profile=swapped_profile())
    photo = read_photo(tmp_path / "swapped.png")
    assert np.abs(photo.pixels.astype(int) - gradient()[..., [1, 0, 2]]).max() <= 2
    write_photo(tmp_path / "out.png", photo.pixels, photo)
    with Image.open(tmp_path / "out.png") as image:
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_profile_of_gray(mode: str, tmp_path: Path) -> None:
    half: dict[str, int | tuple[int, ...]] = {"L": 128, "LA": (128, 255), "I;16": 128 * 257}
    Image.new(mode, (4, 4), half[mode]).save(tmp_path / "linear.png", icc_profile=linear_gray_profile())
    assert np.abs(read_photo(tmp_path / "linear.png").pixels.astype(int) - 188).max() <= 1  # sRGB of half the light


@pytest.mark.parametrize("profile", [b"no profile", swapped_profile()[:300], linear_gray_profile()])
def test_damaged_or_unsuitable_profile_is_ignored(profile: bytes, tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "photo.png", icc_profile=profile)
    assert np.array_equal(read_photo(tmp_path / "photo.png").pixels, gradient())


def test_damaged_exif_costs_no_photograph(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "photo.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    photo = read_photo(tmp_path / "photo.png")
    assert np.array_equal(photo.pixels, gradient())
    write_photo(tmp_path / "out.png", photo.pixels, photo)


def test_image_in_memory_is_not_changed() -> None:
    image = Image.fromarray(gradient())
    image.getexif()[Base.Orientation] = 6
    assert to_photo(image).pixels.shape == (30, 20, 3)
    assert image.size == (30, 20)
    assert image.getexif()[Base.Orientation] == 6


def test_limit_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own, which warns of 101 and refuses 201
    Image.fromarray(gradient()).save(tmp_path / "photo.png")
    assert read_photo(tmp_path / "photo.png").pixels.shape == (20, 30, 3)
    for limit, megapixels in ((599, "0.000599"), (200, "0.0002")):
        with pytest.raises(OSError, match=f"it has more than {megapixels} megapixels, the limit"):
            read_photo(tmp_path / "photo.png", max_pixels=limit)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", "truncated"])
def test_what_is_no_image(content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    if isinstance(content, str):
        Image.fromarray(gradient(200, 300)).save(path)
        content = path.read_bytes()[:2000]
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"not an image, or damaged|truncated|cannot be decoded|broken"):
        read_photo(path)


def test_names() -> None:
    for name in ("a.jpg", "b/a.JPEG", "a.png", "a.webp", "a.tif", "a.TIFF"):
        assert colored_name(Path(name)) == Path(name)
    for name in ("b/a.gif", "b/a.bmp", "b/a.jp2", "b/a"):
        assert colored_name(Path(name)) == Path("b/a.png")
