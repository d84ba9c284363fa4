"""A folder as a data set: which images are found and decoded, and which classes they have."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from colornet.data import Dataset, load_dataset
from colornet.errors import InputError
from tests.colornet.data.files import Pixels, damaged_files, noise, parts, write_images


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


def test_large_images_are_resized_and_cut_to_the_center(tmp_path: Path, cache: Path) -> None:
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
    assert "gone.png (No such file or directory); sub/empty.png" in text


def test_a_folder_of_which_nothing_can_be_read_is_refused(tmp_path: Path, cache: Path) -> None:
    for name, content in damaged_files(tmp_path).items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"none of its 6 .*images can be read"):
        load_dataset(str(tmp_path), image_size=32, cache_dir=cache)


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
    for damaged in ("cat/0003.png", "dog/0000.png", "owl/0001.png"):  # in every part: later images move up
        for part in below[layout]:
            (root / part / damaged).write_bytes(b"not an image")
    for _ in range(2):  # decoded, then from the cache
        dataset = load_dataset(str(root), image_size=8, cache_dir=cache)
        assert_classes_fit(dataset, classes)
    assert sorted(path.suffix for path in (cache / "decoded").iterdir()) == [".json", ".npy"]


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
