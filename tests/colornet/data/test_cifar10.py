"""CIFAR-10 in its original files."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.datasets import CIFAR10

from colornet.data import load_dataset
from colornet.errors import InputError
from tests.colornet.data.files import Pixels, noise, parts, write_images

Cifar = tuple[Path, Pixels, NDArray[np.int64]]


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cifar:
    """Small CIFAR-10 files in the original layout, not in the cache: their folder, training images and labels."""
    source = tmp_path / "source" / "cifar-10-batches-py"
    source.mkdir(parents=True)
    images, labels = noise(200), np.random.default_rng(1).permutation(np.arange(200) % 10)
    batches: dict[str, object] = {"batches.meta": {"label_names": [f"class{label}" for label in range(10)]}}
    for number in range(5):
        chosen = slice(40 * number, 40 * number + 40)
        batches[f"data_batch_{number + 1}"] = {
            "data": images[chosen].transpose(0, 3, 1, 2).reshape(40, -1),
            "labels": labels[chosen].tolist(),
        }
    test = noise(20, seed=2).transpose(0, 3, 1, 2).reshape(20, -1)
    batches["test_batch"] = {"data": test, "labels": [number % 10 for number in range(20)]}
    md5 = {}
    for name, batch in batches.items():
        content = pickle.dumps(batch, protocol=2)
        (source / name).write_bytes(content)
        md5[name] = hashlib.md5(content).hexdigest()
    with tarfile.open(tmp_path / "source" / CIFAR10.filename, "w:gz") as archive:
        archive.add(source, source.name)
    archive_md5 = hashlib.md5((tmp_path / "source" / CIFAR10.filename).read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{n}", md5[f"data_batch_{n}"]] for n in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", archive_md5)
    return tmp_path / "source", images, labels


def test_cifar10_is_found_again_offline(cifar10: Cifar, cache: Path) -> None:
    source, images, labels = cifar10
    cache.mkdir()
    source.rename(cache / "cifar10")
    dataset = load_dataset("cifar10", image_size=32, cache_dir=cache)
    assert tuple(map(len, parts(dataset))) == (180, 20, 20)
    ordered = images[np.argsort(labels, kind="stable")].transpose(0, 3, 1, 2)
    assert np.array_equal(dataset.validation.numpy(), ordered[9::10])
    assert all(part.is_contiguous() for part in parts(dataset))
    assert dataset.name == "cifar10"
    assert dataset.labels is not None
    assert dataset.labels.classes == tuple(f"class{label}" for label in range(10))
    classes = {image.transpose(2, 0, 1).tobytes(): label for image, label in zip(images, labels, strict=True)}
    for part, found in ((dataset.train, dataset.labels.train), (dataset.validation, dataset.labels.validation)):
        assert found.tolist() == [classes[image.numpy().tobytes()] for image in part]
    assert dataset.labels.test.tolist() == [number // 2 for number in range(20)]


def test_cifar10_is_unpacked_from_an_archive_put_there(
    cifar10: Cifar, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (cache / "cifar10").mkdir(parents=True)
    (cifar10[0] / CIFAR10.filename).rename(cache / "cifar10" / CIFAR10.filename)
    assert len(load_dataset("cifar10", image_size=32, cache_dir=cache).train) == 180
    assert capfd.readouterr() == ("", "")


def test_cifar10_and_its_copy_as_a_folder_are_the_same_data(cifar10: Cifar, cache: Path, tmp_path: Path) -> None:
    source, images, labels = cifar10
    for label in range(10):
        write_images(tmp_path / "copy" / "train" / f"class{label}", images[labels == label])
        write_images(tmp_path / "copy" / "test" / f"class{label}", noise(20, seed=2)[label::10])
    cache.mkdir()
    source.rename(cache / "cifar10")
    for image_size in (32, 48):
        original = load_dataset("cifar10", image_size=image_size, cache_dir=cache)
        copy = load_dataset(str(tmp_path / "copy"), image_size=image_size, cache_dir=cache)
        assert copy.fingerprint == original.fingerprint
        assert copy.labels is not None
        assert original.labels is not None
        assert copy.labels.classes == original.labels.classes
        for part in ("train", "validation", "test"):
            assert torch.equal(getattr(copy.labels, part), getattr(original.labels, part))
        assert original.train.shape[-2:] == (image_size, image_size)


def test_cifar10_out_of_reach_names_every_way_out(cache: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_dataset("cifar10", image_size=32, cache_dir=cache)
    for words in (
        str(cache / "cifar10"),
        "Name or service",
        "cifar-10-python.tar.gz",
        "--data FOLDER",
        "--data sample",
    ):
        assert words in str(caught.value)
