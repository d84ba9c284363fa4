"""What is found in a folder, and what the user is told before anything is decoded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from colornet.data import check_dataset, default_cache_dir, load_dataset
from colornet.errors import InputError
from tests.colornet.data.files import noise, parts, write_images


def test_only_visible_images_are_found(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "mixed"
    write_images(root / "b" / "deep", noise(4))
    write_images(root / ".hidden", noise(4))
    write_images(root, noise(3, seed=1))
    Image.fromarray(noise(1, seed=2)[0]).save(root / "UPPER.BMP")
    Image.fromarray(noise(1, seed=2)[0]).save(root / "._UPPER.png")
    (root / "notes.txt").write_text("not an image")
    (root / "folder.jpg").mkdir()
    (root / "b" / "loop").symlink_to(root)
    assert sum(map(len, parts(load_dataset(str(root), image_size=32, cache_dir=cache)))) == 8


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("cifar-10", r"'cifar-10' is neither a known name \(cifar10, sample\) nor a folder: did you mean 'cifar10'\?"),
        ("CIFAR10", "did you mean 'cifar10'"),
        ("samples", "did you mean 'sample'"),
        ("no/such/folder", "neither .* full path"),
        ("set.zip", "is a file, not a folder"),
        ("empty", "empty' holds no images"),
        ("half", "half/test' holds no images"),
    ],
)
def test_check_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set.zip").write_bytes(b"PK")
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    (tmp_path / "half" / "test").mkdir(parents=True)
    write_images(tmp_path / "half" / "train", noise(3))
    with pytest.raises(InputError, match=message):
        check_dataset(data)
    with pytest.raises(InputError, match=message):
        load_dataset(data, image_size=32)


def test_check_accepts_what_exists(photos: Path) -> None:
    for data in ("cifar10", "sample", str(photos)):
        check_dataset(data)


def test_a_folder_that_cannot_be_listed_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(InputError, match=r"photos' cannot be read \(Permission denied\)"):
        check_dataset(str(photos))


def test_cache_dir_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("COLORNET_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache_dir() == Path("/home/me/.cache/colornet")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_cache_dir() == Path("/xdg/colornet")
    monkeypatch.setenv("COLORNET_DATA", "~/data")
    assert default_cache_dir() == Path("/home/me/data")


def test_an_unknown_user_without_a_home_is_asked_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    for variable in ("HOME", "COLORNET_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(InputError, match="no home folder: name one with --cache-dir or COLORNET_DATA"):
        default_cache_dir()
    with pytest.raises(InputError, match="home folder in '~/photos' is not known: give the full path"):
        check_dataset("~/photos")
    with pytest.raises(InputError, match="home folder in '~nobody-has-this-name/x' is not known"):
        check_dataset("~nobody-has-this-name/x")
