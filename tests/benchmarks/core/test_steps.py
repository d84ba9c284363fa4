"""The steps that are measured: what is counted of them, and on which images they are made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from benchmarks.core import steps
from benchmarks.core.steps import (
    count_flops,
    network_sizes,
    random_dataset,
    repeat_to_epoch,
    start_accelerator,
    training_flops,
)
from benchmarks.core.timing import flops_of
from colornet.models.build import build_generator
from tests.benchmarks.cases import case, dataset
from tests.conftest import small


def test_flops_are_those_of_the_description() -> None:
    counted = count_flops(case("notebook-ae", "inference"), dataset(2, side=32))
    assert counted == pytest.approx(1.587e9, rel=5e-4)


def test_flops_include_attention() -> None:
    sizes = {"width": 32, "multipliers": (1, 2), "blocks": 1, "image_size": 16}
    with_it, without = (count_flops(case("ae", "inference", **sizes, attention=a), dataset(2)) for a in (True, False))
    channels, positions = 64, 8 * 8
    projections = 2 * positions * channels * 4 * channels  # to query, key, value and back
    products = 2 * 2 * positions * positions * channels  # of query and key, of attention and value
    assert with_it - without == projections + products


def test_flops_of_an_image_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = case("cgan", "train", width=8, discriminator_width=8, blocks=1, image_size=16)
    counts = []
    for size in (2, 6):
        monkeypatch.setattr(steps, "COUNTED_IMAGES", size)
        counts.append(count_flops(tiny, dataset(6)))
    assert counts[0] == counts[1] > 0


def test_epoch_is_as_long_as_that_of_cifar10() -> None:
    repeated = repeat_to_epoch(dataset(7)).train
    assert len(repeated) == 45_000
    assert torch.equal(repeated[:7], repeated[7:14])


def test_random_images_fill_a_batch() -> None:
    made = random_dataset(case("ae", "train", batch_size=5, image_size=24).config)
    assert (made.train.shape, made.train.dtype) == ((5, 3, 24, 24), torch.uint8)


def test_training_costs_what_its_passes_cost(folder: Path, tmp_path: Path) -> None:
    ae = small("ae", folder, tmp_path / "run")
    network = build_generator(ae)
    forward = flops_of(lambda: network(torch.zeros(1, 1, 16, 16)))
    assert 2.5 * forward < training_flops(ae) <= 3 * forward  # back to the weights and, but for the first layer, inputs
    cgan = small("cgan", folder, tmp_path / "run")
    plain, penalized = (training_flops(dataclasses.replace(cgan, r1_weight=weight)) for weight in (0.0, 10.0))
    assert training_flops(ae) < plain < penalized < 1.3 * plain


def test_counting_leaves_the_accelerator_of_the_process_as_it_is(folder: Path, tmp_path: Path) -> None:
    """It may be one of a GPU: what is trained and recorded afterwards must stay there."""
    config = small("ae", folder, tmp_path / "run")
    accelerator = start_accelerator(dataclasses.replace(config, mixed_precision="bf16"))
    training_flops(config)
    assert network_sizes(config)["generator"] > 0
    assert (accelerator.mixed_precision, accelerator.device.type) == ("bf16", "cpu")
    AcceleratorState._reset_state()
