"""The training of evaluators: what is learned, what is written, and data that are refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.__main__ import main
from benchmarks.evaluator.recipe import fit_statistics
from benchmarks.evaluator.train import accuracy
from colornet.color import to_float
from colornet.data import load_dataset
from colornet.metrics.evaluator import CIFAR10_CLASSES, evaluator_card, load_evaluator
from tests.images import random_pixels


class ToFloat(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return to_float(images)


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
    main(["evaluator", *arguments, "--cache-dir", str(data.parent / "cache"), *options])


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


def test_statistics_do_not_depend_on_the_order_of_the_images() -> None:
    levels = torch.arange(10, dtype=torch.uint8).repeat_interleave(150).mul(25)  # sorted, as classes are
    images = random_pixels(1500, 8, 8) // 20 + levels[:, None, None, None]
    whole = images.double().div(255).flatten(2).permute(1, 0, 2).flatten(1).var(1)  # over all images and pixels
    norm = nn.BatchNorm2d(3)
    fit_statistics(nn.Sequential(ToFloat(), norm), images, seed=0)
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_var.double(), whole, rtol=0.02, atol=0)


def test_a_refitted_evaluator_keeps_its_weights_and_gets_new_statistics(
    colorful_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(colorful_classes, tmp_path, "--epochs", "1", "--name", "old")
    old, card = load_evaluator("old", tmp_path), evaluator_card("old", tmp_path)
    file = tmp_path / "cifar10-old.json"
    train(colorful_classes, tmp_path, "--refit", str(file), "--name", "new", "--seed", "5")
    new, refitted = load_evaluator("new", tmp_path), evaluator_card("new", tmp_path)
    assert refitted["refit"]["sha256"] == card["sha256"] != refitted["sha256"]
    assert refitted["config"] == card["config"]
    weights, others = (network.state_dict() for network in (old, new))
    changed = {name for name, value in weights.items() if not torch.equal(value, others[name])}
    assert changed <= {name for name in weights if "running" in name or name == "scales"}

    write_classes(tmp_path / "other", CIFAR10_CLASSES, 11, 1)
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path / "other", tmp_path / "out", "--refit", str(file))
    assert "was trained on other images" in capsys.readouterr().err


def test_a_batch_may_be_larger_than_the_data_set(colorful_classes: Path, tmp_path: Path) -> None:
    train(colorful_classes, tmp_path / "out", "--epochs", "1", "--batch-size", "400")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cifar10-v2.json", "cifar10-v2.safetensors"}


@pytest.mark.parametrize("name", ["cifar10-v2.json", "cifar10-v2.safetensors"])
def test_an_evaluator_is_not_overwritten(
    name: str, colorful_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        train(colorful_classes, tmp_path)
    assert "already holds cifar10-v2" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize("classes", [CIFAR10_CLASSES[:9], (*CIFAR10_CLASSES[:9], "lorry")])
def test_other_classes_than_those_of_cifar10_are_refused(
    classes: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_classes(tmp_path / "set", classes, 2, 1)
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path / "set", tmp_path / "out")
    assert "is not sorted into the ten classes of CIFAR-10" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
