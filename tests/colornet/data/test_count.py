"""The numbers of images that are counted are those that are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from colornet.data import load_dataset
from colornet.data.count import CIFAR10_SIZES, count_images
from colornet.errors import InputError

LAYOUTS = [{"": 3}, {"": 9}, {"": 10}, {"": 26}, {"train": 2, "test": 1}, {"train": 21, "val": 3},
           {"train": 11, "val": 2, "test": 4}]  # fmt: skip


def write(folder: Path, layout: dict[str, int]) -> str:
    for below, count in layout.items():
        (folder / below).mkdir(exist_ok=True)
        for index in range(count):
            Image.new("RGB", (12, 12), (9 * index, 80, 10)).save(folder / below / f"{index}.png")
    return str(folder)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_has_the_images_that_are_counted(layout: dict[str, int], tmp_path: Path) -> None:
    data = write(tmp_path, layout)
    dataset = load_dataset(data, image_size=12)
    loaded = {part: len(getattr(dataset, part)) for part in CIFAR10_SIZES}
    assert count_images(data, image_size=12) == loaded
    assert count_images(data, image_size=12, at_most=99) == loaded


@pytest.mark.parametrize("layout", [{"": 2}, {"train": 1, "test": 3}])
def test_too_few_images_are_refused_without_torch_as_with_it(layout: dict[str, int], tmp_path: Path) -> None:
    data = write(tmp_path, layout)
    with pytest.raises(InputError, match="are needed"):
        count_images(data, image_size=12)
    with pytest.raises(InputError, match="are needed"):
        load_dataset(data, image_size=12)


def test_of_many_images_only_some_are_counted(tmp_path: Path) -> None:
    data = write(tmp_path, {"train": 30, "test": 5})
    assert count_images(data, image_size=12, at_most=20) == {"train": 18, "validation": 2, "test": 5}


def test_known_data_sets() -> None:
    assert sum(count_images("cifar10", image_size=32).values()) == 60_000
    sizes = count_images("sample", image_size=64)
    dataset = load_dataset("sample", image_size=64)
    assert sizes == {part: len(getattr(dataset, part)) for part in CIFAR10_SIZES}
    assert isinstance(dataset.train, torch.Tensor)
