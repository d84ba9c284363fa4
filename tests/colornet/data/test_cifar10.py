"""CIFAR-10 in its original files."""

from __future__ import annotations

import hashlib
import math
import pickle
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.datasets import CIFAR10

from colornet.data import cifar10_copy, load_dataset
from colornet.errors import InputError
from tests.colornet.data.files import Pixels, noise, parquet, parts, write_images
from tests.server import Server, reply, reply_with_range, serving

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


@pytest.fixture
def copy(cifar10: Cifar, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The same images as the Hub keeps them: the files, by name. Their batches are in another order."""
    pytest.importorskip("pyarrow")
    _, images, labels = cifar10
    parts = {"train": (images, labels), "test": (noise(20, seed=2), np.arange(20) % 10)}
    firsts, sums, files = {}, {}, {}
    for part, (pixels, classes) in parts.items():
        firsts[part] = tuple("".join(map(str, classes[start : start + 10])) for start in range(0, len(pixels), 20))
        values = pixels.reshape(-1, 3).astype(np.int64)
        sums[part] = tuple(tuple((values**power).sum(axis=0).tolist()) for power in (1, 2))
        order = np.arange(len(pixels)).reshape(-1, 20)[::-1].ravel()
        files[f"{part}-00000-of-00001.parquet"] = parquet(pixels[order], classes[order])
    monkeypatch.setattr(cifar10_copy, "_BATCH", 20)
    monkeypatch.setattr(cifar10_copy, "_FIRST_LABELS", firsts)
    monkeypatch.setattr(cifar10_copy, "_SUMS", sums)
    return files


def sources(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Let both sources be a server: /archive and the endpoint of the Hub."""
    monkeypatch.setattr(CIFAR10, "url", f"{server.address}/archive")
    monkeypatch.setenv("HF_ENDPOINT", server.address)


def test_cifar10_comes_from_a_server_that_cuts_off(
    cifar10: Cifar, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (cifar10[0] / CIFAR10.filename).read_bytes()
    with serving(lambda request: reply_with_range(request, content, len(content) // 3 + 1)) as server:
        sources(monkeypatch, server)
        assert len(load_dataset("cifar10", image_size=32, cache_dir=cache).train) == 180
        assert len(server.requests) == 3
        load_dataset("cifar10", image_size=32, cache_dir=cache)
        assert len(server.requests) == 3


def test_one_of_several_processes_downloads(cifar10: Cifar, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (cifar10[0] / CIFAR10.filename).read_bytes()

    def slow(request: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        reply(request, content)

    with serving(slow) as server, ThreadPoolExecutor(3) as pool:
        sources(monkeypatch, server)
        found = list(pool.map(lambda _: load_dataset("cifar10", image_size=32, cache_dir=cache), range(3)))
        assert len(server.requests) == 1
    assert len({dataset.fingerprint for dataset in found}) == 1


@pytest.mark.parametrize("lie", ["404", "page", "content"])
def test_the_copy_on_the_hub_is_the_same_data(
    lie: str, cifar10: Cifar, copy: dict[str, bytes], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path != "/archive":
            reply_with_range(request, copy[request.path.rpartition("/")[2]], 400_000)
        elif lie == "content":
            reply(request, b"something else")
        elif lie == "page":
            reply(request, b"<html>", Content_Type="text/html; charset=utf-8")
        else:
            reply(request, status=404)

    with serving(answer) as server:
        sources(monkeypatch, server)
        found = load_dataset("cifar10", image_size=32, cache_dir=cache)
    assert server.requests[1][0].startswith("GET /datasets/uoft-cs/cifar10/resolve/main/plain_text/train-00000-of-")
    (tmp_path / "other").mkdir()
    cifar10[0].rename(tmp_path / "other" / "cifar10")
    original = load_dataset("cifar10", image_size=32, cache_dir=tmp_path / "other")
    assert found.fingerprint == original.fingerprint
    assert found.labels is not None
    assert original.labels is not None
    assert torch.equal(found.labels.train, original.labels.train)
    again = load_dataset("cifar10", image_size=32, cache_dir=cache)
    assert again.fingerprint == original.fingerprint
    kept = {path.name for path in (cache / "cifar10").iterdir()}
    assert kept - {".lock"} == {"cifar10.npz"}


@pytest.mark.parametrize("change", ["pixel", "label", "missing", "truncated", "text", "archive"])
def test_a_copy_with_other_content_is_refused(
    change: str, cifar10: Cifar, copy: dict[str, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "train-00000-of-00001.parquet"
    images, labels = cifar10[1].copy(), cifar10[2].copy()
    if change == "pixel":
        images[7, 3, 3, 1] ^= 1
    elif change == "label":
        labels[[15, 16]] = labels[[16, 15]][::-1] + 1
    elif change == "missing":
        images, labels = images[:-20], labels[:-20]
    whole = parquet(images, labels % 10)
    content = {"truncated": whole[:-100], "text": b"nothing"}.get(change, whole)

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/archive" or change == "archive":
            reply(request, status=404)
        else:
            reply(request, content if name in request.path else copy[request.path.rpartition("/")[2]])

    with serving(answer) as server:
        sources(monkeypatch, server)
        with pytest.raises(InputError) as caught:
            load_dataset("cifar10", image_size=32, cache_dir=cache)
    message = str(caught.value)
    for words in (f"{server.address}/archive: HTTP status 404; {server.address}/datasets/uoft-cs/cifar10: ", ".tar.gz"):
        assert words in message
    assert change == "archive" or "its train images are not those of CIFAR-10" in message
    assert not any(path.suffix in (".parquet", ".npz") for path in (cache / "cifar10").iterdir())


def test_the_copy_is_checked_against_the_published_statistics() -> None:
    """Means and standard deviations of the original, as programs print them: of values 0 to 255, and of 0 to 1."""
    means = (125.306918046875, 122.950394140625, 113.86538318359375)
    deviations = (62.993219278136884, 62.08870764001421, 66.70489964063091)
    test_means = (0.4942142800245097, 0.48513138901654346, 0.4504090927542889)
    test_deviations = (0.24665251509497976, 0.24289226346005363, 0.2615923780220238)
    published = {"train": (means, deviations, 1), "test": (test_means, test_deviations, 255)}
    for part, (means, deviations, scale) in published.items():
        values = (50_000 if part == "train" else 10_000) * 32 * 32
        sums, squares = cifar10_copy._SUMS[part]
        assert sums == tuple(round(mean * scale * values) for mean in means)
        for total, square, deviation in zip(sums, squares, deviations, strict=True):
            assert math.sqrt(square / values - (total / values) ** 2) == pytest.approx(deviation * scale, rel=1e-14)


def test_without_pyarrow_the_sentence_names_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10_copy, "has_pyarrow", lambda: False)
    with pytest.raises(InputError, match=r"pip install pyarrow"):
        load_dataset("cifar10", image_size=32, cache_dir=cache)


def test_offline_the_hub_is_not_asked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="uoft-cs/cifar10: HF_HUB_OFFLINE is set"):
        load_dataset("cifar10", image_size=32, cache_dir=cache)


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
