"""Options that are not given suit the data: what is chosen, that it is said, and that nothing given is changed."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import pytest
import torch

from colornet import train
from colornet.config import PRESETS, TrainConfig
from colornet.data.splits import Dataset
from colornet.errors import InputError
from colornet.models.build import build_generator
from colornet.runs.pretrained import WEIGHTS
from colornet.training.build import check_colors, warm_start
from tests.images import random_pixels


def photos(folder: Path, count: int) -> str:
    """Write files that count as images: 270 of 300 train, with a test folder."""
    for part, number in (("train", count), ("test", 1)):
        (folder / part).mkdir(parents=True)
        for index in range(number):
            (folder / part / f"{index}.jpg").touch()
    return str(folder)


@pytest.mark.parametrize("preset", PRESETS)
def test_data_of_the_size_of_cifar10_changes_nothing(preset: str, caplog: pytest.LogCaptureFixture) -> None:
    assert train.parse([preset]) == PRESETS[preset].config
    assert not caplog.records


@pytest.mark.parametrize(
    ("count", "expected"),
    [(11, (8, 3, 50.0, 1)), (240, (16, 39, 50.0, 19)), (1500, (32, 126, 50.0, 50))],
)
def test_values_follow_the_number_of_photographs(
    count: int, expected: tuple[float, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = train.parse(["cgan", "--data", photos(tmp_path, count), "--epochs", "30"])
    found = config.batch_size, config.warmup_steps, config.reconstruction_weight, config.log_every
    assert found == expected
    text = " ".join(record.getMessage() for record in caplog.records)
    assert f"for {count - count // 10:,} training images: --batch-size {expected[0]}." in text
    assert f"--warmup-steps {expected[1]}, --reconstruction-weight 50." in text


def test_what_is_given_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = ["--batch_size=10", "--warmup-steps", "200", "--reconstruction-weight=20", "--log-every", "50"]
    config = train.parse(["cgan", "--data", photos(tmp_path, 100), *given])
    found = config.batch_size, config.warmup_steps, config.reconstruction_weight, config.log_every
    assert found == (10, 200, 20.0, 50)
    assert not caplog.records


def test_an_autoencoder_and_the_notebooks_keep_what_means_nothing_to_them(tmp_path: Path) -> None:
    data = photos(tmp_path, 1500)
    assert train.parse(["ae", "--data", data]).reconstruction_weight == 1
    notebook = train.parse(["notebook-cgan", "--data", data])
    assert (notebook.batch_size, notebook.warmup_steps, notebook.reconstruction_weight) == (32, 0, 100)


def test_a_resumed_run_keeps_its_values(tmp_path: Path) -> None:
    data, run = photos(tmp_path / "photos", 100), tmp_path / "run"
    run.mkdir()
    saved = TrainConfig(batch_size=9, warmup_steps=7, log_every=3, image_size=64)
    (run / "config.json").write_text(json.dumps(dataclasses.asdict(saved)))
    config = train.parse(["ae", "--data", data, "--run-dir", str(run), "--resume", "auto", "--log-every", "5"])
    assert (config.batch_size, config.warmup_steps, config.log_every, config.multipliers) == (9, 7, 5, (1, 2, 4))


def test_the_curves_of_a_short_run_have_points() -> None:
    assert train.parse(["ae", "--epochs", "1"]).log_every == 8  # of 175 steps
    assert train.parse(["ae", "--max-steps", "3"]).log_every == 1


# --init-from


def test_a_released_model_is_a_start_of_the_same_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = train.parse(["cgan", "--image-size", "64", "--init-from", "cgan", "--run-dir", str(tmp_path / "run")])
    assert (config.init_from, config.width, config.blocks, config.multipliers) == ("cgan", 32, 1, (1, 2, 4))
    assert "Chosen as in --init-from cgan: --width 32, --multipliers 1 2 4, --blocks 1." in caplog.text
    train.check(config)
    origin = warm_start(build_generator(config), config)
    assert origin["sha256"] == json.loads((WEIGHTS / "cgan" / "release.json").read_text())["sha256"]


def test_a_flow_does_not_start_from_a_network_without_one() -> None:
    config = train.parse(["flow", "--init-from", "ae"])
    with pytest.raises(InputError, match=r"--init-from ae has another shape \(--flow-steps is 0 there, not 4\)"):
        train.check(config)


def test_another_size_than_that_of_the_origin_is_refused() -> None:
    config = train.parse(["cgan", "--init-from", "cgan", "--width", "48"])
    assert (config.width, config.blocks) == (48, 1)
    with pytest.raises(InputError, match=r"--init-from cgan has another shape \(--width is 32 there, not 48\)"):
        warm_start(torch.nn.Identity(), config)


# Refused


def test_a_dry_run_counts_the_images_and_finds_a_batch_that_is_too_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    options = ["ae", "--data", photos(tmp_path / "photos", 31), "--run-dir", str(tmp_path / "run"), "--dry-run"]
    train.main(options)
    assert json.loads(capsys.readouterr().out)["batch_size"] == 16
    assert "photos: 28 train, 3 validation, 1 test images, none of which was decoded." in caplog.text
    with pytest.raises(SystemExit, match="2"):
        train.main([*options, "--batch-size", "64"])
    assert "Batch size 64 exceeds the 28 training images: choose 28 or less." in capsys.readouterr().err


def dataset(pixels: torch.Tensor) -> Dataset:
    return Dataset("old photos", pixels, pixels[:1], pixels[:1], "")


def test_gray_images_are_noticed(caplog: pytest.LogCaptureFixture) -> None:
    color = random_pixels(20, 16, 16)
    gray = color[:, :1].expand(-1, 3, -1, -1).clone()
    gray[:, 0, 0, 0] = gray[:, 1, 0, 0].clamp(max=252) + 3  # as after JPEG compression
    check_colors(dataset(color), warn=True)
    check_colors(dataset(torch.cat((color, gray[:2]))), warn=True)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        check_colors(dataset(torch.cat((color, gray[:5]))), warn=True)
    assert "5 of 25 training images of old photos that were looked at are gray: remove them" in caplog.text
    with pytest.raises(InputError, match=r"20 of 20 .* are gray: there is no color to learn from"):
        check_colors(dataset(gray), warn=True)
