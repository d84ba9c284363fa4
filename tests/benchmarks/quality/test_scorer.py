"""The columns of published networks and of CIFAR-10's classes: where they come from, and why they may be empty."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from benchmarks.quality import scorer as scorer_module
from benchmarks.quality.columns import distance_names
from benchmarks.quality.options import QualityOptions
from benchmarks.quality.pretrained_networks import MissingWeightsError
from benchmarks.quality.scorer import Scorer
from colornet.color import to_float
from colornet.data import Dataset
from colornet.data.splits import Labels
from colornet.evaluation.loop import gray_floor
from colornet.metrics.distribution import frechet_distance
from colornet.metrics.evaluator import CIFAR10_CLASSES
from tests.images import photos


@pytest.fixture
def labeled() -> Dataset:
    """The photographs with their classes, a class a column, as a data set of its own."""
    classes = torch.arange(40) % 10
    labels = Labels(CIFAR10_CLASSES, classes, classes[:10], classes)
    return Dataset("photos", photos().flip(3), photos()[:10], photos(), "0", labels)


def measured(dataset: Dataset, cache: Path, **changes: Any) -> Scorer:
    options = dataclasses.replace(QualityOptions(data="photos", cpu=True, cache_dir=cache, batch_size=16), **changes)
    return Scorer(options, Accelerator(cpu=True), dataset)


def test_semantic_accuracy_is_of_cifar10_only(labeled: Dataset, tmp_path: Path) -> None:
    scores = measured(labeled, tmp_path)(labeled.test)
    accuracy = scores.values["accuracy"]
    assert accuracy is not None
    assert 60 <= accuracy <= 100
    assert scores.per_image["accuracy"].sum().item() == pytest.approx(accuracy * 40 / 100)
    wrong = measured(labeled, tmp_path)(labeled.test.roll(1, 0)).values["accuracy"]
    assert wrong is not None
    assert wrong < 30

    assert labeled.labels is not None
    others = dataclasses.replace(labeled.labels, classes=tuple("abcdefghij"))
    renamed = measured(dataclasses.replace(labeled, labels=others), tmp_path)
    assert renamed(labeled.test).values["accuracy"] is None
    assert "accuracy" in renamed.reasons


def tiny_inception(seen: list[int]) -> Callable[[Tensor], Tensor]:
    """Twelve features an image: the means over quarters of its rows; the sizes of batches are listed."""

    def features(images: Tensor) -> Tensor:
        seen.append(len(images))
        return to_float(images).unflatten(2, (4, -1)).mean((3, 4)).flatten(1)

    return features


@pytest.mark.parametrize(("name", "suffix", "fd"), [("inception", "", "fid"), ("dinov2", "_dinov2", "fd_dinov2")])
def test_columns_of_a_published_network_come_from_its_features(
    name: str, suffix: str, fd: str, labeled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(scorer_module, f"load_{name}", lambda *_: tiny_inception(seen))
    scorer = measured(labeled, tmp_path, features_batch=15, **{name: "on"})
    assert seen == [15, 15, 10] * 2  # the true images and the training images
    assert fd not in scorer.reasons
    assert scorer.evaluators[name]["sha256"]
    values = scorer(gray_floor(labeled.test)).values
    network = tiny_inception([])
    gray, truth, training = (network(part).double() for part in (gray_floor(photos()), photos(), labeled.train))
    assert values[fd] == pytest.approx(frechet_distance(gray, truth), rel=1e-9)
    assert values[f"{fd}_train"] == pytest.approx(frechet_distance(gray, training), rel=1e-9)
    assert scorer(labeled.test).values[fd] == pytest.approx(0, abs=1e-9)
    measures = (f"kid{suffix}", f"kid{suffix}_train", f"precision{suffix}", f"recall{suffix}")
    assert all(values[measure] is not None for measure in measures)
    assert values["fd_cifar10_v2"] != values[fd]


def test_reference_features_are_computed_once(
    labeled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(scorer_module, "load_inception", lambda *_: tiny_inception(seen))
    first = measured(labeled, tmp_path, inception="on").references
    assert sum(seen) == 80
    second = measured(labeled, tmp_path, inception="on").references
    assert sum(seen) == 80
    assert all(torch.equal(first[net][part], second[net][part]) for net in first for part in first[net])

    files = list((tmp_path / "features").iterdir())
    assert len(files) == 4  # two networks, two sets of images
    for file in files:
        file.write_bytes(file.read_bytes()[:-100])
    third = measured(labeled, tmp_path, inception="on").references
    assert sum(seen) == 160
    assert all(torch.equal(first[net][part], third[net][part]) for net in first for part in first[net])

    changed = labeled.train.clone()
    changed[-1, -1, -1, -1] ^= 1
    measured(dataclasses.replace(labeled, train=changed), tmp_path, inception="on")
    assert sum(seen) == 200  # one of the two sets is another now


def test_weights_out_of_reach_leave_a_reason(labeled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: object, **__: object) -> None:
        raise MissingWeightsError("No network here")

    monkeypatch.setattr(scorer_module, "load_inception", unavailable)
    monkeypatch.setattr(scorer_module, "load_dinov2", unavailable)
    monkeypatch.setattr(scorer_module, "load_lpips", unavailable)
    scorer = measured(labeled, tmp_path, inception="on", dinov2="on", lpips="on")
    for name in (*distance_names(""), *distance_names("_dinov2"), "lpips"):
        assert scorer.reasons[name] == "No network here."
    values = scorer(labeled.test).values
    assert (values["fid"], values["lpips"]) == (None, None)
    assert values["fd_cifar10_v2"] == pytest.approx(0, abs=1e-5)


def test_features_of_other_code_or_another_device_are_not_reused(
    labeled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = measured(labeled, tmp_path)
    paths = {scorer._features_path("0", labeled.test)}
    monkeypatch.setattr(scorer.accelerator.state, "device", torch.device("meta"))
    paths.add(scorer._features_path("0", labeled.test))
    monkeypatch.undo()
    getsource = inspect.getsource
    monkeypatch.setattr("inspect.getsource", lambda module: getsource(module).replace("std(2", "var(2"))
    paths.add(scorer._features_path("0", labeled.test))
    monkeypatch.undo()
    assert scorer._features_path("0", labeled.test) in paths
    assert len(paths) == 3


def test_networks_measure_in_full_precision(labeled: Dataset, tmp_path: Path, tf32: Any) -> None:
    scorer = measured(labeled, tmp_path)
    seen = []
    scorer.evaluator.whiten.register_forward_hook(lambda *_: seen.append(tf32.fp32_precision))
    with torch.autocast("cpu", torch.bfloat16):
        scorer(labeled.test)
        scorer.frechet(labeled.test)
    assert {*seen} == {"ieee"}
