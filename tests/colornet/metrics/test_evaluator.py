"""The evaluator network: its whitening and features, and the weights that are shipped."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from benchmarks.evaluator.train import accuracy
from colornet.color import lab_to_rgb, rgb_to_lab, to_float, to_uint8
from colornet.metrics import evaluator as shipped
from colornet.metrics.distribution import frechet_distance
from colornet.metrics.evaluator import SHIPPED, Cifar10Classifier, evaluator_card, load_evaluator
from tests.images import photos, random_pixels

WIDTHS = (6, 10, 14)


@pytest.fixture(scope="module")
def network() -> Cifar10Classifier:
    """A network of random weights whose statistics and scales are those of the photographs."""
    torch.manual_seed(0)
    network = Cifar10Classifier(WIDTHS)
    network.fit_whitening(photos())
    network.train()
    for _ in range(20):
        network(photos())
    network.eval().requires_grad_(False)
    network.fit_scales(photos())
    return network


def test_whitening_decorrelates_the_patches_and_evens_out_their_variance() -> None:
    network = Cifar10Classifier(WIDTHS)
    network.fit_whitening(photos(), epsilon=5e-4)
    with torch.no_grad():
        maps = network.whiten(to_float(photos())).transpose(0, 1).flatten(1).double()  # (24, 40 * 31 * 31)
    patches = F.unfold(to_float(photos()), 2).transpose(0, 1).flatten(1).double()  # (12, 40 * 31 * 31)
    variances = np.linalg.eigvalsh(np.cov(patches.numpy()))
    expected = variances / (variances + 5e-4)  # 1 but for directions in which photographs hardly vary
    assert (expected > 0.9).sum() >= 4
    np.testing.assert_allclose(np.cov(maps[:12].numpy()), np.diag(expected), atol=2e-4)
    np.testing.assert_allclose(maps[:12].mean(1).numpy(), 0, atol=1e-4)
    torch.testing.assert_close(maps[12:], -maps[:12], rtol=0, atol=1e-4)


def test_whitening_and_the_scales_of_normalization_are_not_trained() -> None:
    network = Cifar10Classifier(WIDTHS)
    network(photos())[0].sum().backward()
    trained = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert trained == {name for name, _ in network.named_parameters() if re.search("conv|norm..bias|classes", name)}


def test_features_are_the_mean_of_the_last_maps_and_the_spread_of_the_first_two(network: Cifar10Classifier) -> None:
    maps = network.levels(photos())
    assert [level.shape[1:] for level in maps] == [(6, 15, 15), (10, 7, 7), (14, 3, 3)]
    first, second, last = (level.flatten(2).double().numpy() for level in maps)
    expected = np.concatenate([last.mean(2), first.std(2), second.std(2)], axis=1)  # (40, 30)
    scales = np.repeat(network.scales.double().numpy(), (14, 6, 10))
    measured, logits = network.measure(photos())
    assert measured.shape == (40, 30)
    assert torch.equal(network.features(photos()), measured)
    np.testing.assert_allclose(measured.numpy(), expected * scales, rtol=1e-4, atol=1e-6)
    both = [network(images)[0] for images in (photos(), photos().flip(3))]
    torch.testing.assert_close(logits, (both[0] + both[1]) / 2)
    assert [output.shape for output in network(photos())] == [(40, 10), (40, 3)]


@pytest.mark.parametrize("batch_size", [7, 500])
def test_scales_give_every_part_a_variance_of_one(network: Cifar10Classifier, batch_size: int) -> None:
    network.fit_scales(photos(), batch_size)
    measured = network.measure(photos())[0]
    for part in measured.split((14, 6, 10), dim=1):
        assert part.double().var(0).sum().item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("kind", [*SHIPPED, "own"])
def test_an_image_measures_the_same_in_any_batch(network: Cifar10Classifier, kind: str) -> None:
    tested = network if kind == "own" else load_evaluator(kind)
    whole = (*tested.measure(photos()), *tested(photos()))
    for size in (1, 7):
        parts = [(*tested.measure(batch), *tested(batch)) for batch in photos().flip(0).split(size)]
        for expected, found in zip(whole, zip(*parts, strict=True), strict=True):
            torch.testing.assert_close(torch.cat(found).flip(0), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (48, 48), (20, 40)])
def test_other_sizes_are_resized(network: Cifar10Classifier, size: tuple[int, int]) -> None:
    flat = random_pixels(5, 1, 1)
    resized, expected = network.measure(flat.expand(-1, -1, *size)), network.measure(flat.expand(-1, -1, 32, 32))
    torch.testing.assert_close(resized, expected, rtol=1e-4, atol=1e-4)


def test_large_photographs_are_antialiased_as_pillow_does() -> None:
    network = load_evaluator("v2-dev")
    large = photos().repeat_interleave(2, 2).repeat_interleave(2, 3)  # (40, 3, 64, 64)
    channels = [Image.fromarray(channel) for channel in large.float().flatten(0, 1).numpy()]  # unrounded, in 0 … 255
    small = np.stack([np.asarray(channel.resize((32, 32), Image.Resampling.BILINEAR)) for channel in channels])
    expected = network.measure(torch.from_numpy(small).unflatten(0, (40, 3)))[0]
    torch.testing.assert_close(network.measure(large)[0], expected, rtol=1e-3, atol=1e-3)
    assert (network.measure(photos())[0] - expected).abs().max() > 0.1


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_small_frozen_and_have_a_card(name: str) -> None:
    card = evaluator_card(name)
    assert len(bytes.fromhex(card["sha256"])) == 32
    assert {part: 0.5 < card["accuracy"][part] < 1 for part in ("validation", "test")} == dict.fromkeys(
        ("validation", "test"), True
    )
    assert (card["data"]["name"], card["data"]["training_images"]) == ("cifar10-jpeg", 45_000)
    assert "evaluator" in card["command"]
    assert card["config"]["widths"]

    network = load_evaluator(name)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert sum(parameter.numel() for parameter in network.parameters()) <= 5_000_000
    assert network.measure(photos())[0].shape == (40, sum(card["config"]["widths"]))
    path = Path(shipped.__file__).parents[1] / "weights" / f"cifar10-{name}.safetensors"
    assert path.stat().st_size <= 10_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_evaluators_name_what_the_photographs_show(name: str) -> None:
    classes = torch.arange(40) % 10  # the fixture has a class a column
    assert accuracy(load_evaluator(name), photos(), classes) >= 0.6


def test_a_changed_byte_in_the_weights_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(Path(shipped.__file__).parents[1] / "weights", tmp_path / "weights")
    path = folder / "cifar10-v2-dev.safetensors"
    load_evaluator("v2-dev", folder)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cifar10-v2-dev\.safetensors is not the file"):
        load_evaluator("v2-dev", folder)


def recolored(change: Callable[[Tensor], Tensor]) -> Tensor:
    """The photographs with a*b* (40, 2, 32, 32) changed."""
    lab = rgb_to_lab(to_float(photos()))
    return to_uint8(lab_to_rgb(torch.cat((lab[:, :1], change(lab[:, 1:])), dim=1)))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_evaluators_see_color(name: str) -> None:
    """With the number of swapped colors, and with the chroma that is lost, the distance to the truth grows."""
    network = load_evaluator(name)
    truth = network.measure(photos())[0].double()

    def distance(images: Tensor) -> float:
        return frechet_distance(network.measure(images)[0].double(), truth)

    def swapped(fraction: float) -> Tensor:
        count = int(40 * fraction)
        return recolored(lambda ab: torch.cat((ab[:count].roll(7, 0), ab[count:])))

    by_fraction = [distance(swapped(fraction)) for fraction in (0, 0.5, 1)]
    assert by_fraction[0] < 0.1 * by_fraction[1] < 0.08 * by_fraction[2]
    by_gain = [distance(recolored(functools.partial(torch.mul, torch.tensor(gain)))) for gain in (1, 0.5, 0)]
    assert by_gain[0] < 0.2 * by_gain[1] < 0.16 * by_gain[2]


@pytest.mark.parametrize("name", SHIPPED)
def test_estimates_of_the_shipped_evaluators_grow_with_the_error(name: str) -> None:
    network = load_evaluator(name)

    def mean_estimate(images: Tensor) -> float:
        return network(images)[1][:, 2].mean().item()

    def another(gain: float) -> Tensor:
        return recolored(lambda ab: gain * ab.roll(7, 0))

    estimates = [mean_estimate(images) for images in (photos(), another(0.5), another(1), another(1.5))]
    assert estimates == sorted(estimates)
