"""How the evaluator network is trained: images with wrong colors, degraded and cut out, and the command."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from benchmarks.evaluator import options as evaluator
from benchmarks.evaluator.train import (
    ERROR_UNIT,
    accuracy,
    adjust_chroma,
    color_error,
    cut_out,
    degrade,
    wrong_colors,
)
from colornet.color import lab_to_rgb, rgb_to_lab, to_float, to_uint8
from colornet.data import load_dataset
from colornet.metrics.evaluator import CIFAR10_CLASSES, evaluator_card, load_evaluator
from tests.images import photos


def test_chroma_is_multiplied_and_turned_by_hand() -> None:
    ab = torch.tensor([[3.0, -5], [3, -5], [3, -5], [3, -5]])[:, :, None, None].expand(4, 2, 2, 3)
    gain, angle = np.array((1.0, 2, 1, 0)), np.array((math.pi / 2, 0, math.pi, 1))
    expected = torch.tensor([[5.0, 3], [6, -10], [-3, 5], [0, 0]])[:, :, None, None].expand(4, 2, 2, 3)
    torch.testing.assert_close(adjust_chroma(ab, gain, angle), expected, rtol=0, atol=1e-5)


def pale(count: int, a: float, b: float, seed: int = 0) -> Tensor:
    """Images of varied lightness and one pale color, which is in gamut however it is turned or multiplied by 2.5."""
    light = 45 + 20 * torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    ab = torch.tensor((a, b))[None, :, None, None].expand(count, 2, 8, 8)
    return to_uint8(lab_to_rgb(torch.cat((light, ab), dim=1)))


def test_wrong_colors_keep_the_lightness_and_are_wrong_in_four_ways() -> None:
    images, others = pale(200, 10, 0), pale(50, -2, 5, seed=1)
    spoiled = wrong_colors(images, others, np.random.default_rng(0))
    assert (spoiled.dtype, spoiled.shape) == (torch.uint8, images.shape)
    before, after = rgb_to_lab(to_float(images)), rgb_to_lab(to_float(spoiled))
    assert (after[:, 0] - before[:, 0]).abs().max() <= 1
    a, b = after[:, 1:].mean((2, 3)).T  # (200,) each; (10, 0) before
    chroma, turn = a.hypot(b) / 10, torch.atan2(b, a).rad2deg()
    ways = {
        "another's": ((a + 2).abs() < 0.3) & ((b - 5).abs() < 0.3),
        "turned": ((chroma - 1).abs() < 0.05) & (turn.abs() > 58),
        "less": (chroma < 0.65) & ((turn.abs() < 10) | (chroma < 0.1)),
        "more": (chroma > 1.45) & (chroma < 2.55) & (turn.abs() < 3),
    }
    counts = {name: int(found.sum()) for name, found in ways.items()}
    assert sum(counts.values()) == 200, counts
    assert min(counts.values()) >= 30, counts
    assert torch.equal(spoiled, wrong_colors(images, others, np.random.default_rng(0)))
    assert not torch.equal(spoiled, wrong_colors(images, others, np.random.default_rng(1)))


def test_the_error_of_colors_is_that_of_their_mean_and_of_their_places() -> None:
    light = torch.full((2, 1, 8, 8), 60.0)
    truth = torch.cat((light, torch.tensor((6.0, -3))[:, None, None].expand(2, 2, 8, 8)), dim=1)
    spoiled = truth.clone()
    spoiled[0, 1:] += torch.tensor((3.0, 4))[:, None, None]  # everywhere: by 5
    spoiled[1, 1, :, :4] += 8  # half to one side, half to the other: none on average, by 8 in every place
    spoiled[1, 1, :, 4:] -= 8
    error = color_error(to_uint8(lab_to_rgb(spoiled)), to_uint8(lab_to_rgb(truth))) * ERROR_UNIT
    torch.testing.assert_close(error, torch.tensor([[3.0, 4, 5], [0, 0, 8]]), rtol=0, atol=0.4)
    assert (color_error(photos(), photos()) == 0).all()


def test_a_square_of_each_image_is_cut_out() -> None:
    images = torch.full((300, 3, 32, 32), 7, dtype=torch.uint8)
    cut = cut_out(images, 8, np.random.default_rng(0)) == 128  # (300, 3, 32, 32)
    assert torch.equal(cut[:, 0], cut[:, 2])
    areas = cut[:, 0].sum((1, 2))
    assert areas.min() >= 1
    assert areas.max() == 64
    rows, columns = cut[:, 0].any(2), cut[:, 0].any(1)  # (300, 32)
    assert torch.equal(areas, rows.sum(1) * columns.sum(1))  # rectangles
    assert cut[:, 0].any(0).all()  # anywhere, the corners too
    assert torch.equal(cut_out(images, 0, np.random.default_rng(0)), images)


def test_a_quarter_of_the_images_is_degraded_invisibly() -> None:
    images = photos().repeat(20, 1, 1, 1)  # (800, 3, 32, 32)
    degraded = degrade(images, np.random.default_rng(0))
    assert (degraded.dtype, degraded.shape) == (torch.uint8, images.shape)
    changed = (degraded != images).flatten(1).any(1)
    assert 0.2 < changed.double().mean() < 0.3
    before, after = rgb_to_lab(to_float(images)), rgb_to_lab(to_float(degraded))
    assert (after - before)[changed].abs().mean((0, 2, 3)).max() < 2.5
    # Averaged over four pixels, colors stay what they were.
    blocks = F.avg_pool2d((after - before)[changed], 4).abs().mean((0, 2, 3))
    assert blocks.max() < 1
    assert torch.equal(degraded, degrade(images, np.random.default_rng(0)))


def write_classes(root: Path, classes: tuple[str, ...], train: int, test: int) -> None:
    """Write noisy images of one hue a class: root/{train,test}/CLASS/000.png."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for number, name in enumerate(classes):
            hue = 2 * math.pi * number / len(classes)
            color = 128 + 90 * np.array([math.cos(hue), math.cos(hue - 2.1), math.cos(hue + 2.1)])
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = color * rng.uniform(0.6, 1.1) + rng.normal(0, 15, (32, 32, 3))
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / part / name / f"{index:03d}.png")


@pytest.fixture(scope="module")
def colorful_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("classes") / "hues"
    write_classes(root, CIFAR10_CLASSES, 20, 3)
    return root


def train(data: Path, out: Path, *options: str) -> None:
    arguments = ["--data", str(data), "--out", str(out), "--widths", "8", "8", "8", "--batch-size", "50", "--cpu"]
    evaluator.main([*arguments, "--cache-dir", str(data.parent / "cache"), *options])


def test_an_evaluator_learns_and_says_what_it_is(colorful_classes: Path, tmp_path: Path) -> None:
    train(colorful_classes, tmp_path / "out", "--epochs", "16", "--seed", "3", "--name", "hues", "--lr", "0.1")
    record = evaluator_card("hues", tmp_path / "out")
    assert record["name"] == "cifar10-hues"
    assert record["accuracy"]["validation"] >= 0.5  # chance is 0.1
    assert record["config"]["widths"] == [8, 8, 8]
    assert record["config"]["seed"] == 3
    assert record["data"]["training_images"] == 180
    assert {"command", "commit", "versions", "device", "seconds"} <= record.keys()

    network = load_evaluator("hues", tmp_path / "out")
    dataset = load_dataset(str(colorful_classes), image_size=32, cache_dir=colorful_classes.parent / "cache")
    assert dataset.labels is not None
    assert accuracy(network, dataset.test, dataset.labels.test, batch_size=7) == record["accuracy"]["test"]
    parts = network.measure(dataset.train)[0].split(8, dim=1)
    assert [part.double().var(0).sum().item() for part in parts] == pytest.approx([1, 1, 1], rel=1e-4)


def test_a_batch_may_be_larger_than_the_data_set(colorful_classes: Path, tmp_path: Path) -> None:
    train(colorful_classes, tmp_path / "out", "--epochs", "1", "--batch-size", "400")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cifar10-v1.json", "cifar10-v1.safetensors"}


def test_an_evaluator_is_not_overwritten(
    colorful_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cifar10-v1.json").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        train(colorful_classes, tmp_path)
    assert "already holds cifar10-v1" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("cifar10-v1.json", "mine")]


@pytest.mark.parametrize("classes", [CIFAR10_CLASSES[:9], (*CIFAR10_CLASSES[:9], "lorry")])
def test_other_classes_than_those_of_cifar10_are_refused(
    classes: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_classes(tmp_path / "set", classes, 2, 1)
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path / "set", tmp_path / "out")
    assert "is not sorted into the ten classes of CIFAR-10" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--epochs", "0", "--epochs must be above 0"),
        ("--cutout", "32", "--cutout and --shift must be at least 0 and below 32"),
        ("--shift", "-1", "--cutout and --shift must be at least 0 and below 32"),
        ("--wrong", "1", "--wrong at least 0 and below 1"),
        ("--wrong", "-0.1", "--wrong at least 0 and below 1"),
        ("--batch-size", "1", "--batch-size 1 leaves no two images with true colors"),
    ],
)
def test_options_that_cannot_train_are_refused(
    option: str, value: str, message: str, colorful_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        train(colorful_classes, tmp_path / "out", f"{option}={value}")
    assert message in capsys.readouterr().err
