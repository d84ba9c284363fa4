"""Files that are no images which can be read: what is said about them."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pillow_heif
import pytest

from colornet.data import formats, load_dataset
from colornet.data.images import open_rgb
from colornet.data.listing import iter_images
from tests.colornet.data.files import noise, write_images

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.heic", HEIC, "damaged HEIF"),
        ("from-a-phone.jpg", HEIC, "damaged HEIF"),
        ("a.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60), "JPEG XL, which is not read: save it as"),
        ("a.jpg", b"\xff\x0a" + bytes(60), "JPEG XL"),
        ("a.fits", b"SIMPLE  =                    T" + bytes(60), "FITS, which is not read"),
        ("a.jxr", b"II\xbc\x01" + bytes(60), "JPEG XR"),
        ("a.cr3", b"\0\0\0\x18ftypcrx " + bytes(60), "raw photograph: develop it"),
        ("a.raf", b"FUJIFILMCCD-RAW 0201" + bytes(60), "raw photograph"),
        ("a.rw2", b"IIU\0\x18\0\0\0" + bytes(60), "raw photograph"),
        ("a.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "raw photograph"),
        ("a.xcf", b"gimp xcf v011" + bytes(60), "an image of layers"),
        ("a.psd", b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x08\0\0\0\x08\0\x20\0\3" + bytes(40), "Photoshop"),
        ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a drawing"),
        ("a.png", b"text", "not an image, or damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_read_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OSError, match=f"it is .*{message}") as caught:
        open_rgb(tmp_path / name)
    assert caught.value.errno is None


def test_formats_that_are_not_read_are_found_and_named(
    photos: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(7):
        (photos / f"{number}.JXL").write_bytes(b"\xff\x0a" + bytes(60))
    (photos / "b.nef").write_bytes(b"II*\0" + bytes(60))
    assert {"6.JXL", "b.nef"} <= {file.name for file in iter_images(photos)}
    for _ in range(2):
        caplog.clear()
        load_dataset(str(photos), image_size=32, cache_dir=cache)
        ((_, level, text),) = caplog.record_tuples
        assert level == logging.WARNING
        assert "Left out 8 file(s)" in text
        assert "0.JXL, 1.JXL, 2.JXL, 3.JXL, 4.JXL, … (it is JPEG XL" in text
        assert "b.nef (it is a camera's raw photograph: develop it" in text


@pytest.mark.parametrize("name", ["a.heic", "from-a-phone.jpg"])
def test_without_its_plugin_heif_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "image_formats", lambda: ("JPEG", "PNG"))
    (tmp_path / name).write_bytes(HEIC)
    message = formats.what_it_is(tmp_path / name)
    assert re.fullmatch(r"it is HEIF \(HEIC\): pip install pillow-heif, .* or save it as .*", message)


def test_heif_is_read_where_its_plugin_is_installed(tmp_path: Path) -> None:
    pixels = noise(1, 64)[0] // 8 + 100
    pillow_heif.encode("RGB", (64, 64), pixels.tobytes(), tmp_path / "a.heic", quality=100)
    image = open_rgb(tmp_path / "a.heic")
    assert image.size == (64, 64)
    assert [file.name for file in iter_images(tmp_path)] == ["a.heic"]


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="it is not a file"):
        open_rgb(tmp_path / "a.png")


def test_names_that_are_no_utf8_can_be_written(tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    for name in (b"ch\xe2t", b"dog"):
        write_images(root / os.fsdecode(name), noise(10))
    (root / "dog" / os.fsdecode(b"br\xfbl\xe9.png")).write_bytes(b"text")
    for _ in range(2):
        dataset = load_dataset(str(root), image_size=32, cache_dir=cache, progress=True)
        assert dataset.name == r"caf\xe9"
        assert dataset.labels is not None
        assert dataset.labels.classes == (r"ch\xe2t", "dog")
        assert "br" in caplog.text.encode().decode()  # which encodes it
