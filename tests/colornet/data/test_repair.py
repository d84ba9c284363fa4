"""Files that every viewer shows: a JPEG without an end marker, a PNG with much text. Truncated data stay refused."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from colornet.data.images import open_rgb
from tests.colornet.data.files import noise
from tests.colornet.test_hostile import png


def jpeg(progressive: bool) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(1, 64)[0]).save(file, "JPEG", progressive=progressive)
    return file.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("ending", [b"", b"\xff", b"\0" * 100], ids=["nothing", "half", "zeros"])
def test_a_jpeg_needs_no_end_marker(tmp_path: Path, progressive: bool, ending: bytes) -> None:
    whole = jpeg(progressive)
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "a.jpg").write_bytes(whole[:-2] + ending)
    for shorter_side in (0, 16):
        expected, mended = (open_rgb(tmp_path / name, shorter_side=shorter_side) for name in ("whole.jpg", "a.jpg"))
        assert expected.tobytes() == mended.tobytes()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_refused_wherever_it_ends(tmp_path: Path, progressive: bool) -> None:
    whole = jpeg(progressive)
    for length in (*range(3, 40), *range(40, len(whole), 97)):
        (tmp_path / "a.jpg").write_bytes(whole[:-length])
        with pytest.raises(OSError, match=r"(?i)truncated|not an image|cannot be decoded|broken"):
            open_rgb(tmp_path / "a.jpg")


def test_a_progressive_jpeg_without_its_last_scans_is_refused(tmp_path: Path) -> None:
    whole = jpeg(progressive=True)
    last = whole.rfind(b"\xff\xda")
    for end in (last, whole.rfind(b"\xff\xc4", 0, last)):
        (tmp_path / "a.jpg").write_bytes(whole[:end])
        with pytest.raises(OSError, match="truncated"):
            open_rgb(tmp_path / "a.jpg")


@pytest.mark.parametrize("megabytes", [2, 30])
@pytest.mark.parametrize("name", [b"zTXt", b"iTXt"])
def test_long_texts_of_a_png_cost_no_pixels(tmp_path: Path, name: bytes, megabytes: int) -> None:
    text = zlib.compress(b"x" * megabytes * 10**6)
    pixels = b"".join(b"\0" + row.tobytes() for row in noise(1, 24)[0][:16])
    body = b"a\0\0" + text if name == b"zTXt" else b"a\0\1\0\0\0" + text
    (tmp_path / "a.png").write_bytes(png(24, 16, (name, body), (b"tEXt", b"b\0short"), pixels=pixels))
    assert np.array_equal(np.array(open_rgb(tmp_path / "a.png")), noise(1, 24)[0][:16])


def test_many_long_texts_of_a_png_cost_no_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 2**20)  # of 64: the same in less time
    texts = [(b"tEXt", b"a%d\0" % number + b"x" * 10**5) for number in range(12)]
    (tmp_path / "a.png").write_bytes(png(24, 16, *texts, pixels=bytes(73 * 16)))
    assert open_rgb(tmp_path / "a.png").size == (24, 16)


def test_a_long_text_does_not_cost_the_orientation(tmp_path: Path) -> None:
    text = (b"zTXt", b"a\0\0" + zlib.compress(bytes(30 * 10**6)))
    exif = (b"eXIf", b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")
    (tmp_path / "a.png").write_bytes(png(24, 16, text, exif, pixels=bytes(73 * 16)))
    assert open_rgb(tmp_path / "a.png").size == (16, 24)
