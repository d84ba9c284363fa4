"""Growth: a real measurement on small sizes, the file of images that it makes, and the mistakes that it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.growth import options as growth
from benchmarks.growth.dataset import evict_page_cache, images_of, prefetch, write_images
from colornet.data import load_dataset
from colornet.data.cache import read_dataset
from colornet.errors import InputError


def test_images_are_repeated_with_noise_of_their_own(folder: Path, tmp_path: Path) -> None:
    loaded = load_dataset(str(folder), image_size=16)
    path, new = write_images(tmp_path, loaded, 500)
    assert new
    stored = read_dataset(path, "growth")
    assert stored is not None
    images = stored[0].train
    assert images.shape == (500, 3, 16, 16)
    count = len(loaded.train)
    for number in range(500):
        assert ((images[number] ^ loaded.train[number % count]) <= 7).all()
    assert len({image.numpy().tobytes() for image in images}) == 500
    before = path.stat().st_mtime_ns
    assert write_images(tmp_path, loaded, 500) == (path, False)
    assert path.stat().st_mtime_ns == before
    del stored, images
    evict_page_cache(path)
    few = images_of(path, 100)
    prefetch(path, few.nbytes)
    assert torch.equal(few[60] & 248, loaded.train[60 - count] & 248)


def test_a_disk_without_room_is_named(folder: Path, tmp_path: Path) -> None:
    loaded = load_dataset(str(folder), image_size=16)
    with pytest.raises(InputError, match=r"^1,000,000,000,000 images occupy 768,000\.0 GB, and .* GB left"):
        write_images(tmp_path, loaded, 10**12)
    assert not list(tmp_path.iterdir())


def test_a_real_measurement(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "growth.json"
    options = (
        "--width 4 --batch-size 4 --images 20 --widths 4 --batch-sizes 2 4 --sizes 20 40 --rounds 2 --steps 2 "
        "--warmup 1 --blocks 1 --image-size 16 --mixed-precision no --resident-limit 0.00002"
    )
    growth.main([*options.split(), "--data", str(folder), "--cpu", "--out", str(out)])
    record = json.loads(out.read_text())
    points = [(p["width"], p["batch_size"], p["images"], p["source"], p["cold"]) for p in record["points"]]
    assert sorted(points) == [
        (4, 2, 20, "resident", False),
        (4, 4, 20, "mapped", False),
        (4, 4, 20, "resident", False),
        (4, 4, 20, "streamed", False),
        (4, 4, 40, "mapped", True),
        (4, 4, 40, "streamed", True),
    ]
    by_source = {(p["images"], p["source"]): p for p in record["points"] if (p["width"], p["batch_size"]) == (4, 4)}
    resident = by_source[20, "resident"]
    assert resident["share_of_resident"] is None
    for at, point in by_source.items():
        assert min(point["rounds"]) <= point["images_per_second"] <= max(point["rounds"])
        assert point["input_images_per_second"] > 0
        if at[1] != "resident":  # the 40 images are too many for --resident-limit: they are compared with the 20
            shares = [a / b for a, b in zip(point["rounds"], resident["rounds"], strict=True)]
            assert point["share_rounds"] == pytest.approx(shares)
            assert point["share_of_resident"] == pytest.approx(sum(shares) / 2)
    assert record["file_bytes"] > 40 * 3 * 16 * 16
    assert record["write_seconds"] > 0
    assert "| 40 | streamed, cold |" in capsys.readouterr().out
    with Image.open(out.with_suffix(".png")) as picture:
        assert picture.width > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["growth.json", "growth.png"]  # no images are left


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "vae"], "--preset is 'vae'"),
        (["--widths", "0"], "--widths is (0,)"),
        (["--steps", "0"], "--steps is 0"),
        (["--images", "7"], "--images is 7: it must be one of --sizes"),
        (["--batch-sizes", "60000"], "more than the images"),
        (["--resident-limit", "-1"], "--resident-limit is -1.0"),
        (["--mixed-precision", "fp16", "--cpu"], "--mixed-precision fp16 needs a GPU"),
        (["--scratch", "setup.cfg"], "--scratch setup.cfg is a file"),
        (["--out", "growth.png"], "--out growth.png is the name of the plot"),
        (["--data", "nowhere"], "'nowhere'"),
    ],
)
def test_mistakes_are_named(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    with pytest.raises(SystemExit) as caught:
        growth.main(options)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
