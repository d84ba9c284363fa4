"""Which subfolders are the parts of a data set, and what is said about the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from colornet.data import check_dataset, load_dataset
from colornet.data.layout import part_folders
from colornet.data.listing import iter_images
from colornet.errors import InputError
from tests.colornet.data.files import identities, noise, parts, write_images


def make(root: Path, *folders: str) -> Path:
    root.mkdir()
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("train", "test"), ("train", "test")),
        (("train", "valid"), ("train", "valid")),
        (("Train", "Test", "Valid"), ("Train", "Test", "Valid")),
        (("TRAIN", "VAL"), ("TRAIN", "VAL")),
        (("training", "testing"), ("training", "testing")),
        (("Training", "Testing", "Validation"), ("Training", "Testing", "Validation")),
        (("train", "eval"), ("train", "eval")),
        (("train", "dev", "test"), ("train", "test", "dev")),
        (("train", "evaluation", "extra", ".git", "@eaDir"), ("train", "evaluation")),
    ],
)
def test_usual_names_are_parts(tmp_path: Path, folders: tuple[str, ...], expected: tuple[str, ...]) -> None:
    root = make(tmp_path / "set", *folders)
    assert part_folders(root) == dict(zip(("train", "test", "validation"), expected, strict=False))


@pytest.mark.parametrize(
    "folders",
    [
        ("train", "car", "truck"),  # vehicles
        ("brain", "grain", "text", "vest"),
        ("valley", "rain", "desert"),
        ("train",),
        ("test",),
        ("2019", "2020", "@eaDir", ".trash"),
        (),
    ],
)
def test_other_names_are_no_parts(tmp_path: Path, folders: tuple[str, ...]) -> None:
    assert part_folders(make(tmp_path / "set", *folders)) == {"all": ""}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "vaild"), "'vaild' beside 'train'"),
        (("trian", "test"), "'trian' beside 'test'"),
        (("train2017", "val2017"), "'train2017' beside 'val2017'"),
        (("train_set", "test_set"), "'test_set' beside 'train_set'"),
        (("train", "holdout"), "'holdout' beside 'train'"),
        (("train", "test", "Test-dev"), "'Test-dev' beside 'train'"),
        (("train", "tst"), "'tst' beside 'train'"),
        (("train", "val", "validation"), "holds 'val' and 'validation', which both mean validation"),
        (("train", "training", "test"), "'train' and 'training', which both mean train"),
        (("images", "test"), "holds 'test' but no folder 'train'"),
        (("val", "test"), "no folder 'train'"),
        (("data/train", "data/test"), "subfolder 'data' is: give '.*set/data'"),
        (("cat/Train", "cat/Val", "dog/Train", "dog/Val"), r"subfolder 'cat' is: .*\(train/cat\)"),
    ],
)
def test_doubtful_names_are_refused_before_anything_is_decoded(
    tmp_path: Path, folders: tuple[str, ...], message: str
) -> None:
    root = make(tmp_path / "set", *folders)
    for folder in folders:
        write_images(root / folder, noise(3))
    with pytest.raises(InputError, match=message):
        check_dataset(str(root))


def test_a_part_may_not_be_another_one(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "train")
    (root / "test").symlink_to("train")
    with pytest.raises(InputError, match="one folder under two names"):
        part_folders(root)


def test_parts_may_not_share_images(tmp_path: Path, cache: Path) -> None:
    write_images(tmp_path / "pool", noise(6))
    root = make(tmp_path / "set", "train", "test")
    for part in ("train", "test"):
        (root / part / "cat").symlink_to(tmp_path / "pool")
    with pytest.raises(InputError, match=r"holds one image in two parts, as 'train/cat/.*' and 'test/cat/.*': remove"):
        load_dataset(str(root), image_size=32, cache_dir=cache)


def test_held_out_images_are_not_trained_on(tmp_path: Path, cache: Path) -> None:
    held_out = noise(6, seed=2)
    write_images(tmp_path / "set" / "Train" / "cat", noise(20, seed=1))
    write_images(tmp_path / "set" / "Valid" / "cat", held_out)
    dataset = load_dataset(str(tmp_path / "set"), image_size=32, cache_dir=cache)
    assert tuple(map(len, parts(dataset))) == (18, 2, 6)
    assert identities(dataset.test) == {image.transpose(2, 0, 1).tobytes() for image in held_out}


def test_what_became_of_every_subfolder_is_said(tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = make(tmp_path / "set", "@eaDir", "old\x1bscans")
    write_images(root / "Train", noise(20, seed=1))
    write_images(root / "Test", noise(6, seed=2))
    load_dataset(str(root), image_size=32, cache_dir=cache, progress=True)
    (line,) = capfd.readouterr().err.splitlines()
    assert "'Train' holds 18 for train, 'Test' holds 6 for test, 'Train' also 2 for validation" in line
    assert r"not used: 'old\x1bscans', '@eaDir'." in line
    write_images(tmp_path / "zoo", noise(20), ("cat", "dog"))
    load_dataset(str(tmp_path / "zoo"), image_size=32, cache_dir=cache, progress=True)
    (line,) = capfd.readouterr().err.splitlines()
    assert "('cat', 'dog') are divided, 16 for train, 2 for validation, 2 for test." in line


def test_thumbnails_of_other_programs_are_not_images(tmp_path: Path) -> None:
    root = make(tmp_path / "nas")
    write_images(root / "cat", noise(2))
    for folder in ("@eaDir/a.jpg", "cat/@eaDir", "__MACOSX/cat", ".AppleDouble", "#recycle", "$RECYCLE.BIN", ".cache"):
        write_images(root / folder, noise(2))
    assert [file.name for file in iter_images(root)] == ["cat/0000.png", "cat/0001.png"]
