"""The data set that needs no download."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colornet.data import load_dataset, sample
from colornet.errors import InputError
from tests.colornet.data.files import identities, parts


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
    """Paint every block in another color: a patch must have one color, and a color one part."""
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
