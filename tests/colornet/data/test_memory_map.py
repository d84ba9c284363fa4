"""Images that are mapped from their file."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from colornet.data.loader import stream
from colornet.data.memory_map import advise_random, map_images, read_ahead, store_images
from tests.colornet.data.files import noise


def test_a_file_may_be_larger_than_memory(tmp_path: Path) -> None:
    path, count = tmp_path / "large.npy", 2**40 // 3072  # a terabyte, nearly all of which is a hole
    shape = (count, 3, 32, 32)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.seek(count * 3072 - 1, os.SEEK_CUR)
        file.write(b"\x07")
    images = map_images(path)
    assert images.shape == shape
    assert images[-1].sum() == 7
    chosen = np.array([count - 1, 5, count - 1])
    read_ahead(images, chosen)
    (batch,) = stream(images, chosen[None], torch.device("cpu"))
    assert batch.flatten(1).sum(1).tolist() == [7, 0, 7]


def test_others_can_read_the_file(tmp_path: Path) -> None:
    pixels = noise(5).transpose(0, 3, 1, 2)
    store_images(tmp_path / "images.npy", pixels.shape, [pixels[:2], pixels[2:]])
    assert np.array_equal(np.load(tmp_path / "images.npy"), pixels)
    assert np.array_equal(map_images(tmp_path / "images.npy").numpy(), pixels)


@pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="Windows takes no advice")
def test_advice_names_the_pages_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(64).transpose(0, 3, 1, 2)
    store_images(tmp_path / "images.npy", pixels.shape, [pixels])
    given = []

    class Watched(mmap.mmap):
        def madvise(self, advice: int, start: int = 0, length: int = 0) -> None:
            super().madvise(advice, start, length)
            given.append((advice, self[start : start + length]))

    monkeypatch.setattr(mmap, "mmap", Watched)
    _, images = map_images(tmp_path / "images.npy").split((10, 54))
    advise_random(images)
    read_ahead(images, np.array([7, 0]))
    (random, all_but_ten), *rows = given
    assert random == mmap.MADV_RANDOM
    assert all_but_ten.endswith(images.numpy().tobytes())
    assert len(all_but_ten) < images.nbytes + mmap.PAGESIZE
    assert [advice for advice, _ in rows] == [mmap.MADV_WILLNEED] * 2
    assert [content.endswith(images[row].numpy().tobytes()) for (_, content), row in zip(rows, (0, 7), strict=True)]
    read_ahead(images.clone(), np.array([0]))  # in memory already
    assert len(given) == 3


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 4, 4)),
        np.zeros((2, 4, 4), np.uint8),
        np.asfortranarray(noise(2)),
        np.array([None]),
    ],
)
def test_what_holds_no_images_is_a_value_error(array: NDArray[np.generic], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=r"no images|Python objects"):
        map_images(tmp_path / "a.npy")
