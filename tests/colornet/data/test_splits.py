"""Which image belongs to which part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from colornet.data import load_dataset
from colornet.errors import InputError
from tests.colornet.data.files import identities, noise, parts, write_images


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
