"""The file of images that growth makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.growth.dataset import evict_page_cache, images_of, prefetch, write_images
from colornet.data import load_dataset
from colornet.data.cache import read_dataset
from colornet.errors import InputError


def test_images_are_repeated_with_noise_of_their_own(folder: Path, tmp_path: Path) -> None:
    loaded = load_dataset(str(folder), image_size=16)
    path, new = write_images(tmp_path, loaded, 500)
    assert new
    stored = read_dataset(path, "growth")
    assert stored is not None
    images = stored[0].train
    assert images.shape == (500, 3, 16, 16)
    count = len(loaded.train)
    for number in range(500):
        assert ((images[number] ^ loaded.train[number % count]) <= 7).all()
    assert len({image.numpy().tobytes() for image in images}) == 500
    before = path.stat().st_mtime_ns
    assert write_images(tmp_path, loaded, 500) == (path, False)
    assert path.stat().st_mtime_ns == before
    del stored, images
    evict_page_cache(path)
    few = images_of(path, 100)
    prefetch(path, few.nbytes)
    assert torch.equal(few[60] & 248, loaded.train[60 - count] & 248)


def test_a_disk_without_room_is_named(folder: Path, tmp_path: Path) -> None:
    loaded = load_dataset(str(folder), image_size=16)
    with pytest.raises(InputError, match=r"^1,000,000,000,000 images occupy 768,000\.0 GB, and .* GB left"):
        write_images(tmp_path, loaded, 10**12)
    assert not list(tmp_path.iterdir())
