"""The least time of a step: operations as torch counts them, bytes as counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.core.steps import COUNTED_IMAGES, Case, count_flops
from benchmarks.throughput.roofline import GROUPS, Pass, bound, trace
from colornet.config import PRESETS
from tests.benchmarks.cases import case, dataset

SIDE = 16


def trained(preset: str, **changes: Any) -> Case:
    return case(preset, "train", **{"width": 8, "discriminator_width": 8, "blocks": 1, "image_size": SIDE, **changes})


def of_group(passes: list[Pass], group: str) -> int:
    """Add up the activations of a group, numbers for each image."""
    return sum(one.activations for one in passes if one.group == group) // COUNTED_IMAGES


@pytest.fixture(scope="module")
def notebook_passes() -> list[Pass]:
    """Trace the notebooks' network with two levels: 8 channels of 16×16 pixels, 16 of 8×8."""
    return trace(trained("notebook-ae", multipliers=(1, 2)), dataset(2))


@pytest.mark.parametrize("preset", PRESETS)
def test_operations_are_those_that_torch_counts(preset: str) -> None:
    tiny = trained(preset)
    flops = sum(one.flops for one in trace(tiny, dataset(2)))
    assert flops == COUNTED_IMAGES * count_flops(tiny, dataset(2))


def test_what_checkpointing_computes_twice_counts_once() -> None:
    plain, checkpointed = trained("ae"), trained("ae", activation_checkpointing=True)
    assert trace(checkpointed, dataset(2)) == trace(plain, dataset(2))
    assert count_flops(checkpointed, dataset(2)) == count_flops(plain, dataset(2))


def test_normalization_moves_what_is_counted_by_hand(notebook_passes: list[Pass]) -> None:
    upper, lower = 8 * 16 * 16, 16 * 8 * 8
    normalized = 4 * upper + 2 * lower  # two in the encoder, two in the decoder, two below
    assert of_group(notebook_passes, "normalization and activation") == (2 + 3) * normalized


def test_pooling_and_skips_move_what_is_counted_by_hand(notebook_passes: list[Pass]) -> None:
    upper, pooled = 8 * 16 * 16, 8 * 8 * 8
    pooling = (upper + pooled) + (pooled + pooled + upper)
    joining = 2 * (2 * upper) + 3 * upper  # read and written; the two gradients of the skip read, their sum written
    assert of_group(notebook_passes, "pooling and skips") == pooling + joining


def test_convolutions_move_what_is_counted_by_hand(notebook_passes: list[Pass]) -> None:
    passes = {name: [one for one in notebook_passes if one.layer == name] for name in ("generator.head",
              "generator.encoder.0.0", "generator.up.0")}  # fmt: skip
    head = passes["generator.head"]  # 1×1, from 8 channels to 3: output, gradients of input and of weights
    assert [(one.activations, one.weights) for one in head] == [(COUNTED_IMAGES * (8 + 3) * 256, 24)] * 3
    assert len(passes["generator.encoder.0.0"]) == 2  # nobody wants the gradient of the image
    up = passes["generator.up.0"]
    assert {one.kind for one in up} == {"transposed convolution"}
    assert up[0].activations == COUNTED_IMAGES * (16 * 64 + 8 * 256)
    assert up[0].flops == COUNTED_IMAGES * 2 * 64 * 16 * 8 * 9


def test_optimizer_moves_what_is_counted_by_hand(notebook_passes: list[Pass]) -> None:
    parameters = 0
    for in_channels, out_channels, side in [(1, 8, 3), (8, 8, 3), (8, 16, 3), (16, 16, 3), (16, 8, 3), (16, 8, 3),
                                            (8, 8, 3), (8, 3, 1)]:  # fmt: skip
        parameters += side * side * in_channels * out_channels + out_channels
    parameters += 2 * (8 + 8 + 16 + 16 + 8 + 8)  # BatchNorm
    state = sum(one.state for one in notebook_passes if one.group == "optimizer and EMA")
    assert state == (4 + 3 + 1) * parameters + 3 * parameters


def test_a_discriminator_is_passed_as_often_as_the_step_does() -> None:
    passes = trace(trained("cgan"), dataset(2))
    first = [one for one in passes if one.layer == "discriminator.layers.0"]
    # Real and fake together, forward and to the weights; then, frozen, fake images alone and back to them.
    sizes = [one.activations // (SIDE * SIDE * (3 + 8)) for one in first]
    assert sizes == [2 * COUNTED_IMAGES, 2 * COUNTED_IMAGES, COUNTED_IMAGES, COUNTED_IMAGES]
    assert {one.layer.split(".")[0] for one in passes if one.kind == "optimizer"} == {"generator", "discriminator"}


def test_activation_after_normalization_is_free() -> None:
    passes = trace(trained("ae"), dataset(2))
    assert not any(one.kind == "activation" for one in passes)
    gan = trace(trained("cgan"), dataset(2))
    assert {one.layer.split(".")[0] for one in gan if one.kind == "activation"} == {"discriminator"}


def test_bound_takes_the_longer_of_arithmetic_and_memory() -> None:
    passes = [
        Pass("a", "convolution", "convolutions", flops=1000 * COUNTED_IMAGES, activations=0, weights=10),
        Pass("a", "convolution", "convolutions", flops=COUNTED_IMAGES, activations=50 * COUNTED_IMAGES),
        Pass("b", "optimizer", "optimizer and EMA", state=25),
    ]
    found = bound(passes, 4, "bf16", flops_per_second=100.0, bandwidth=10.0)
    assert found["groups"]["convolutions"] == {"flops": 4004.0, "bytes": 20.0 + 400.0, "seconds": 40.0 + 40.0}
    assert found["groups"]["optimizer and EMA"] == {"flops": 0.0, "bytes": 100.0, "seconds": 10.0}
    assert found["seconds"] == 90.0
    assert found["images_per_second"] == pytest.approx(4 / 90)
    assert [(layer["layer"], layer["seconds"]) for layer in found["layers"]] == [("a", 80.0), ("b", 10.0)]
    assert bound(passes, 4, "no", 100.0, 10.0)["groups"]["convolutions"]["bytes"] == 2 * 420.0


def test_groups_and_layers_add_up(notebook_passes: list[Pass]) -> None:
    found = bound(notebook_passes, 64, "no", 1e9, 1e9)
    assert tuple(found["groups"]) == GROUPS
    for key in ("flops", "bytes", "seconds"):
        layers = sum(layer[key] for layer in found["layers"])
        assert layers == pytest.approx(sum(group[key] for group in found["groups"].values()))
    assert all(group["seconds"] > 0 for group in found["groups"].values())
    assert found["seconds"] == pytest.approx(sum(group["seconds"] for group in found["groups"].values()))
