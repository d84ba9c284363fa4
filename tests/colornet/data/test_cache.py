"""What the cache keeps of a decoded folder, when it is decoded again, and what the user is told."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from colornet.data import folder, load_dataset
from colornet.data.images import open_square, to_chw
from colornet.errors import InputError
from tests.colornet.data.files import Pixels, noise, parts, write_images


@pytest.fixture
def cached(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Load `photos` into the cache; the paths decoded from now on are listed."""
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    decoded = []

    def watched(path: Path, side: int) -> Image.Image:
        decoded.append(path)
        return open_square(path, side)

    monkeypatch.setattr(folder, "open_square", watched)
    return decoded


def test_second_load_decodes_nothing(photos: Path, cache: Path, cached: list[Path]) -> None:
    again = load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert not cached
    fresh = load_dataset(str(photos), image_size=32, cache_dir=cache.with_name("other"))
    assert len(cached) == 30
    assert again.fingerprint == fresh.fingerprint
    assert all(torch.equal(a, b) for a, b in zip(parts(again), parts(fresh), strict=True))


def test_a_moved_folder_is_still_known(photos: Path, cache: Path, cached: list[Path]) -> None:
    moved = photos.rename(photos.with_name("moved"))
    assert load_dataset(str(moved), image_size=32, cache_dir=cache).name == "moved"
    assert not cached


@pytest.mark.parametrize("change", ["content", "time", "name", "more", "size"])
def test_a_change_is_noticed(photos: Path, cache: Path, cached: list[Path], change: str) -> None:
    before = load_dataset(str(photos), image_size=32, cache_dir=cache)
    image_size = 16 if change == "size" else 32
    if change == "content":
        Image.new("RGB", (32, 32)).save(photos / "0000.png")
    elif change == "time":
        os.utime(photos / "0000.png", (1, 1))
    elif change == "name":
        (photos / "0000.png").rename(photos / "9999.png")
    elif change == "more":
        write_images(photos / "more", noise(1, seed=1))
    after = load_dataset(str(photos), image_size=image_size, cache_dir=cache)
    assert len(cached) == (31 if change == "more" else 30)
    assert (after.fingerprint == before.fingerprint) == (change == "time")


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "changed", "header", "sizes", "text"])
def test_a_damaged_cache_is_rebuilt(
    photos: Path, cache: Path, cached: list[Path], damage: str, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = (cache / "decoded").glob(f"*{suffix}")
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "truncated": whole[:-1000],
            "changed": whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:],
            "header": whole.replace(b"descr", b"descs").replace(b'"fingerprint"', b'"fingerpaint"'),
            "sizes": whole.replace(b"(30, ", b"(29, ").replace(b"[24, ", b"[25, "),
            "text": b"no array and no JSON",
        }[damage]
    )
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert len(cached) == 30
    assert "damaged" in caplog.text
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert len(cached) == 30
    assert path.read_bytes() == whole


def test_images_without_their_record_are_decoded_again(photos: Path, cache: Path, cached: list[Path]) -> None:
    (record,) = (cache / "decoded").glob("*.json")
    record.unlink()  # what a crash between the two files leaves
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert len(cached) == 30


def test_nothing_is_unpickled(photos: Path, cache: Path, cached: list[Path], tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "evil"),)

    (path,) = (cache / "decoded").glob("*.npy")
    np.save(path, np.array([Evil()], object), allow_pickle=True)
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    path.write_bytes(pickle.dumps(Evil()))
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert len(cached) == 60
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("images", [15, 30])  # of 30: it is full while they are decoded, or when they are stored
def test_a_full_disk_leaves_nothing_behind(photos: Path, cache: Path, images: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (images * 3072 + 8, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written \(File too large\).* --cache-dir or COLORNET_DATA"):
            load_dataset(str(photos), image_size=32, cache_dir=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((cache / "decoded").iterdir())
    assert len(load_dataset(str(photos), image_size=32, cache_dir=cache).train) == 24


def test_a_disk_that_will_be_full_is_named_before_anything_is_decoded(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "open_square", None)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100_000_000))
    with pytest.raises(InputError, match=r"\(0\.2 GB are needed for decoding and 0\.1 GB are free\)"):
        load_dataset(str(photos), image_size=1024, cache_dir=cache)


def test_images_lie_in_their_file_and_cannot_be_changed(photos: Path, cache: Path) -> None:
    images = load_dataset(str(photos), image_size=32, cache_dir=cache).train
    (path,) = (cache / "decoded").glob("*.npy")
    first = images.data_ptr()
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    maps = [line.split() for line in lines if path.name in line]
    assert any(int(m[0].split("-")[0], 16) <= first < int(m[0].split("-")[1], 16) and m[1] == "r--s" for m in maps)


@pytest.mark.parametrize("side", [8, 64])  # files decoded by one thread and by several
def test_decoding_holds_few_images_in_memory(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    monkeypatch.setattr(folder, "_PIECE", 3 * side**2)  # as if one of them were large: one a task
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    write_images(tmp_path / "many", noise(60, side))
    alive, counts = set[int](), []

    def watched(image: Image.Image) -> Pixels:
        pixels = to_chw(image).copy()
        alive.add(id(pixels))
        weakref.finalize(pixels, alive.discard, id(pixels))
        counts.append(len(alive))
        return pixels

    monkeypatch.setattr(folder, "to_chw", watched)
    dataset = load_dataset(str(tmp_path / "many"), image_size=side, cache_dir=cache)
    assert torch.equal(dataset.test, torch.from_numpy(noise(60, side).transpose(0, 3, 1, 2)[9::10].copy()))
    assert max(counts) <= 8


def test_an_unwritable_cache_is_named_before_anything_is_decoded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "open_square", None)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"Cache folder '.*file/decoded' cannot be written .* --cache-dir"):
        load_dataset(str(photos), image_size=32, cache_dir=tmp_path / "file")


@pytest.mark.parametrize("reason", ["no permission", "no memory", "a bad disk", "no target"])
def test_a_passing_failure_is_not_remembered(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    errors = {"no permission": PermissionError(13, "Permission denied"), "a bad disk": OSError(5, "Input/output error"),
              "no memory": MemoryError()}  # fmt: skip
    (photos / "damaged.png").write_bytes(b"no image")
    if reason == "no target":
        (photos / "0007.png").rename(photos.parent / "target.png")
        (photos / "0007.png").symlink_to(photos.parent / "target.png")
        (photos.parent / "target.png").rename(photos.parent / "away.png")

    def failing(path: Path, side: int) -> Image.Image:
        if path.name == "0007.png" and reason in errors:
            raise errors[reason]
        return open_square(path, side)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "open_square", failing)
        for _ in range(2):  # the second time, the same failure decodes nothing else again
            caplog.clear()
            dataset = load_dataset(str(photos), image_size=32, cache_dir=cache)
            assert sum(map(len, parts(dataset))) == 29
            assert "0007.png" in caplog.text
            assert "damaged.png" in caplog.text
    if reason == "no target":
        (photos.parent / "away.png").rename(photos.parent / "target.png")
    caplog.clear()
    assert sum(map(len, parts(load_dataset(str(photos), image_size=32, cache_dir=cache)))) == 30
    assert "0007.png" not in caplog.text
    assert "damaged.png" in caplog.text


def test_a_passing_failure_decodes_only_its_file_again(photos: Path, cache: Path, cached: list[Path]) -> None:
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    cached.clear()
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert [path.name for path in cached] == ["gone.png"]


KILLED = """
import sys
from pathlib import Path
from colornet.files import replacing

with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(bytes(1000))
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_killed_decode_leaves_nothing_for_ever(photos: Path, cache: Path) -> None:
    decoded = cache / "decoded"
    decoded.mkdir(parents=True)
    command = [sys.executable, "-c", KILLED, str(decoded / "other.npy")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        load_dataset(str(photos), image_size=32, cache_dir=cache)
        (alive,) = decoded.glob(".*")  # of a process that lives
        process.kill()
    load_dataset(str(photos), image_size=32, cache_dir=cache)
    assert alive.exists()  # nothing is decoded, nothing is swept
    load_dataset(str(photos), image_size=16, cache_dir=cache)
    assert not list(decoded.glob(".*"))


def test_a_page_of_several_is_said_again_from_the_cache(
    photos: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [Image.fromarray(pixels) for pixels in noise(3, seed=3)]
    pages[0].save(photos / "scan.tif", save_all=True, append_images=pages[1:])
    for _ in range(2):
        caplog.clear()
        load_dataset(str(photos), image_size=32, cache_dir=cache)
        ((_, _, text),) = caplog.record_tuples
        assert text.endswith(f"Used one page only of 1 file(s) of '{photos}': scan.tif (page 1 of 3)")
