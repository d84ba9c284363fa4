"""What `python -m benchmarks photos` measures: enlarging as `colornet colorize` does it, spoiled scans, the record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from benchmarks.photos import measure as photo_study
from benchmarks.photos.degradations import DEFECTS, spoil
from benchmarks.photos.options import PhotosOptions, check, main
from benchmarks.photos.report import format_tables
from benchmarks.photos.upsampling_study import enlarge, find_edges, join, measure_enlarging, photo, predict, reduce
from colornet.color import rgb_to_lab
from colornet.errors import InputError
from colornet.inference.colorizer import Colorizer
from tests.colornet.inference.test_colorizer import save_run


def small_photo(height: int = 96) -> Image.Image:
    chelsea = Image.fromarray(skimage.data.chelsea())
    return chelsea.resize((round(height * 1.5), height), Image.Resampling.BICUBIC)


def test_guided_enlarging_is_that_of_colorize() -> None:
    image = small_photo()
    colorizer = Colorizer.load("cgan", "cpu")
    rgb = photo(image, None)
    small, lightness = reduce(rgb, 32, colorizer.multiple), rgb_to_lab(rgb)[:, :1]
    color = enlarge("guided", predict(colorizer, small), rgb_to_lab(small)[:, :1], lightness)
    expected = pil_to_tensor(colorizer.colorize(image))
    assert (join(lightness, color)[0].int() - expected.int()).abs().max() <= 1
    assert rgb_to_lab(expected / 255)[1:].abs().mean() > 2  # it is colored at all


def test_true_colors_come_back_the_better_the_less_they_were_reduced() -> None:
    found = measure_enlarging(photo(small_photo(), None), (16, 48, 96), {})
    assert list(found)[:2] == ["gray", "true colors at 16 px, guided"]
    assert len(found) == 7  # 96 pixels are no reduction
    for method in ("guided", "bilinear", "bicubic"):
        coarse, fine = (found[f"true colors at {scale} px, {method}"] for scale in (16, 48))
        for key in ("ciede2000", "edges", "gray_edges"):
            assert 0 < fine[key] < coarse[key]
        assert coarse["ciede2000"] < found["gray"]["ciede2000"] / 3
    assert found["gray"]["cf"] < 0.5


def test_edges_of_color_and_of_lightness_are_told_apart() -> None:
    lab = torch.full((1, 3, 20, 40), 50.0)
    lab[:, 1:, :, :10] = 0.0
    lab[:, 1:, :, 10:20] = 30.0  # a*b* steps at column 10, and back at 20
    lab[:, 1:, :, 20:] = 0.0
    lab[:, :1, :, 30:] = 80.0  # L* at column 30
    of_color, of_light = find_edges(lab)
    assert of_color[0].any(0).nonzero().flatten().tolist() == [9, 10, 19, 20]
    assert {29, 30} <= set(of_light[0].any(0).nonzero().flatten().tolist())
    assert not (of_color & of_light).any()


@pytest.mark.parametrize("name", DEFECTS)
def test_spoiled_scans_are_images_of_8_bits(name: str) -> None:
    checks = torch.arange(48) // 3 % 2
    gray = 0.8 * torch.linspace(0, 1, 48).expand(2, 1, 48, 48) + 0.2 * (checks != checks[:, None])
    scan = spoil(gray, DEFECTS[name][1])
    assert scan.shape == (2, 3, 48, 48)
    torch.testing.assert_close(scan, (scan * 255).round() / 255)
    assert scan.min() >= 0
    assert scan.max() <= 1
    assert torch.equal(scan, spoil(gray, DEFECTS[name][1]))  # the same at every call
    off = (scan.mean(1, keepdim=True) - gray).abs().mean()
    assert off < 0.01 if name in ("clean", "faded, stretched") else off > 0.01
    # A scan shows what was there: whoever was lighter is so on average.
    assert np.corrcoef(scan[0].mean((0, 1)), gray[0, 0].mean(0))[0, 1] > 0.9


def test_noise_and_grain_are_as_strong_as_they_are_called() -> None:
    gray = torch.full((4, 1, 64, 64), 0.5)
    for name, sigma in (("noise σ 10", 10), ("noise σ 25", 25), ("film grain", 20)):
        assert spoil(gray, DEFECTS[name][1])[:, 0].std().item() * 255 == pytest.approx(sigma, rel=0.06)
    grain = spoil(gray, DEFECTS["film grain"][1])[:, 0] - 0.5
    assert (grain[..., 1:] * grain[..., :-1]).mean() > 0.5 * grain.var()  # clumps


def test_small_study_end_to_end(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(photo_study, "sample_photos", lambda: {"chelsea": small_photo(48), "coffee": small_photo(64)})
    run, out = save_run(tmp_path / "tiny"), tmp_path / "photos.json"
    main(["--models", str(run), "--data", str(folder), "--images", "12", "--sizes", "40", "--scales", "16", "--out",
          str(out), "--megapixels", "0.2", "--cpu"])  # fmt: skip
    record = json.loads(out.read_text(encoding="utf-8"))
    assert (record["kind"], record["data"]["images"]) == ("photos", 12)
    assert record["scans"].keys() == {"tiny"}
    rows = record["scans"]["tiny"]
    assert rows.keys() == DEFECTS.keys()
    assert rows["clean"]["moved"] == rows["clean"]["moved_photos"] == 0
    assert all(row["moved"] > 0 for name, row in rows.items() if name != "clean")
    assert record["enlarging"].keys() == {"40", "full"}
    assert len(record["enlarging"]["full"]) == 7
    (memory,) = record["memory"]
    assert memory["megapixels"] == pytest.approx(0.2, rel=0.02)
    assert 50 * 2**20 < memory["peak_memory_bytes"] < 4 * 2**30
    printed = capsys.readouterr().out
    for table in format_tables(record).values():
        assert table in printed
    with pytest.raises(SystemExit) as refused:
        main(["--data", str(folder), "--out", str(out)])
    assert refused.value.code == 2
    assert capsys.readouterr().err == f"error: --out {out} exists already: choose another file or remove it.\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sizes": (500,)}, r"^--sizes has 500: every number must be from 16 to 300\.$"),
        ({"scales": ()}, "--scales is empty"),
        ({"megapixels": (0.0,)}, r"--megapixels has 0: every number must be from 0\.1"),
        ({"images": 1}, "--images must be at least 2"),
        ({"models": ()}, "No model is named"),
        ({"models": ("nowhere",)}, "neither a released one"),
        ({"models": ("ae", "ae")}, "the same name"),
        ({"data": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    options: dict[str, object], sentence: str, tmp_path: Path, folder: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        check(PhotosOptions(out=tmp_path / "photos.json", **{"data": str(folder), **options}))  # type: ignore[arg-type]


def test_models_of_rgb_are_refused(tmp_path: Path, folder: Path) -> None:
    run = save_run(tmp_path / "rgb", color_space="rgb")
    with pytest.raises(InputError, match="predicts RGB"):
        check(PhotosOptions(out=tmp_path / "photos.json", models=(str(run),), data=str(folder)))
