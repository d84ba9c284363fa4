"""Data sets of the Hub: folders of images and parquet files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from colornet import train
from colornet.data import check_dataset, load_dataset
from colornet.errors import InputError
from tests.colornet.data.files import noise, parquet, write_images
from tests.hub import COMMIT, Hub, serving_hub

CLASSES = ("airplane", "automobile", "bird")  # the first of those that `parquet` names


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving_hub(tmp_path / "hub-cache", monkeypatch) as hub:
        yield hub


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """The images of the data sets below, as a folder."""
    for part, count in (("train", 30), ("test", 9)):
        write_images(tmp_path / "local" / part, noise(count, seed=count), CLASSES)
    return tmp_path / "local"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_a_folder_of_images_is_the_data_set_that_it_is_on_disk(
    hub: Hub, local: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["datasets/user/images"] = files(local) | {"README.md": b"", "load.py": b"raise SystemExit"}
    check_dataset("hf:user/images")
    assert not hub.server.requests
    found = load_dataset("hf:user/images@v1", image_size=32, cache_dir=cache)
    assert found.name == "user/images"
    assert found.fingerprint == load_dataset(str(local), image_size=32, cache_dir=cache).fingerprint
    assert not any(".py" in request for request, _ in hub.server.requests)
    asked = len(hub.server.requests)
    load_dataset("hf:user/images@v1", image_size=32, cache_dir=cache)
    assert len(hub.server.requests) <= asked + 1  # which commit it is
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_dataset("hf:user/images@v1", image_size=32, cache_dir=cache).fingerprint == found.fingerprint


def test_a_training_takes_it_as_the_folder_that_it_is(
    hub: Hub, local: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repos["datasets/user/images"] = files(local)
    options = ["--cache-dir", str(cache), "--run-dir", str(tmp_path / "run"), "--max-steps", "1", "--cpu",
               "--width", "8", "--discriminator-width", "8", "--blocks", "1", "--mixed-precision", "no"]  # fmt: skip
    train.main(["cgan", "--data", "hf:user/images", *options, "--dry-run"])
    config = json.loads(capsys.readouterr().out)
    expected = train.parse(["cgan", "--data", str(local), *options, "--dry-run"])
    assert config["batch_size"] == expected.batch_size == 16
    assert config == json.loads(json.dumps(dataclasses.asdict(expected) | {"data": "hf:user/images"}))
    train.main(["cgan", "--data", "hf:user/images", *options])
    assert "data user/images: 27 training and 3 validation images" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        train.main(["cgan", "--data", "hf:user/images", *options, "--dry-run", "--batch-size", "64"])
    assert "Batch size 64 exceeds the 27 training images" in capsys.readouterr().err


def test_parquet_files_are_the_data_set_that_they_hold(hub: Hub, local: Path, cache: Path) -> None:
    pytest.importorskip("pyarrow")
    train, test = noise(30, seed=30), noise(9, seed=9)
    hub.repos["datasets/user/table"] = {
        "data/train-00000-of-00002.parquet": parquet(train[:12], np.arange(12) % 3),
        "data/train-00001-of-00002.parquet": parquet(train[12:], np.arange(12, 30) % 3),
        "data/test-00000-of-00001.parquet": parquet(test, np.arange(9) % 3),
    }
    found = load_dataset("hf:user/table", image_size=32, cache_dir=cache)
    expected = load_dataset(str(local), image_size=32, cache_dir=cache)
    assert found.fingerprint == expected.fingerprint
    assert found.labels is not None
    assert found.labels.classes == CLASSES
    assert [path.name for path in (cache / "hub" / "user--table").iterdir() if path.name != ".lock"] == [COMMIT]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "Data set 'hf:user/set' does not exist at http"),
        ({"README.md": b""}, "holds neither images nor parquet files"),
        ({"a/train.parquet": b"", "b/train.parquet": b""}, "has several configurations"),
        ({"train.parquet": b"nothing"}, "train.parquet is damaged"),
    ],
)
def test_what_is_no_data_set_is_refused(content: dict[str, bytes] | None, message: str, hub: Hub, cache: Path) -> None:
    pytest.importorskip("pyarrow")
    if content is not None:
        hub.repos["datasets/user/set"] = content
    with pytest.raises(InputError) as caught:
        load_dataset("hf:user/set", image_size=32, cache_dir=cache)
    assert message in str(caught.value)
    assert not list((cache / "hub").glob("*/[!.]*"))


def test_without_pyarrow_parquet_files_are_refused(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos["datasets/user/table"] = {"train.parquet": b""}
    monkeypatch.setattr("colornet.data.hub.has_pyarrow", lambda: False)
    with pytest.raises(InputError, match="pip install pyarrow"):
        load_dataset("hf:user/table", image_size=32, cache_dir=cache)


def test_a_name_is_checked_before_anything_is_loaded() -> None:
    with pytest.raises(InputError, match="write hf:OWNER/NAME"):
        check_dataset("hf:images")
