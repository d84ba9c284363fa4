"""The network that measures: its whitening and features, the weights that are shipped, and how it is trained."""

from __future__ import annotations

import functools
import importlib
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from accelerate import Accelerator
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
from colornet.evaluation.loop import map_images
from colornet.metrics import features
from colornet.metrics.distribution import frechet_distance, kernel_distance
from colornet.metrics.evaluator import CIFAR10_CLASSES, Cifar10Classifier
from colornet.metrics.features import SHIPPED, evaluator_card, load_evaluator
from tests.benchmarks.quality.test_inception import Images
from tests.colornet.metrics.test_image import photos, random_pixels

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


# --- whitening -------------------------------------------------------------------------------------------------------


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


# --- features --------------------------------------------------------------------------------------------------------


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
    network = load_evaluator("dev")
    large = photos().repeat_interleave(2, 2).repeat_interleave(2, 3)  # (40, 3, 64, 64)
    channels = [Image.fromarray(channel) for channel in large.float().flatten(0, 1).numpy()]  # unrounded, in 0 … 255
    small = np.stack([np.asarray(channel.resize((32, 32), Image.Resampling.BILINEAR)) for channel in channels])
    expected = network.measure(torch.from_numpy(small).unflatten(0, (40, 3)))[0]
    torch.testing.assert_close(network.measure(large)[0], expected, rtol=1e-3, atol=1e-3)
    assert (network.measure(photos())[0] - expected).abs().max() > 0.1


# --- what is shipped -------------------------------------------------------------------------------------------------


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
    path = Path(features.__file__).parents[1] / "weights" / f"cifar10-{name}.safetensors"
    assert path.stat().st_size <= 10_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_evaluators_name_what_the_photographs_show(name: str) -> None:
    classes = torch.arange(40) % 10  # the fixture has a class a column
    assert accuracy(load_evaluator(name), photos(), classes) >= 0.6


def test_a_changed_byte_in_the_weights_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(Path(features.__file__).parents[1] / "weights", tmp_path / "weights")
    path = folder / "cifar10-dev.safetensors"
    load_evaluator("dev", folder)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cifar10-dev\.safetensors is not the file"):
        load_evaluator("dev", folder)


@pytest.mark.parametrize("name", SHIPPED)
def test_torch_fidelity_computes_the_same_to_the_last_bit(name: str) -> None:
    importlib.import_module("colornet.metrics.fidelity")  # registers both
    generated, real = random_pixels(21), photos()
    expected = torch_fidelity.calculate_metrics(
        input1=Images(generated), input2=Images(real), feature_extractor=f"cifar10-{name}", fid=True, kid=True,
        kid_subsets=5, kid_subset_size=10, batch_size=8, cuda=False, cache=False, verbose=False, save_cpu_ram=True,
    )  # fmt: skip
    network = load_evaluator(name)

    def measured(images: Tensor) -> Tensor:
        def measure(batch: Tensor) -> dict[str, Tensor]:
            return {"features": network.measure(batch)[0]}

        return map_images(measure, images, Accelerator(cpu=True), batch_size=8)["features"]

    ours, reference = measured(generated), measured(real)
    assert frechet_distance(ours, reference) == expected["frechet_inception_distance"]
    kernel = kernel_distance(ours, reference, subsets=5, subset_size=10)[0]
    assert kernel == expected["kernel_inception_distance_mean"]


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


# --- colors that are wrong ------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", SHIPPED)
def test_estimates_of_the_shipped_evaluators_grow_with_the_error(name: str) -> None:
    network = load_evaluator(name)

    def mean_estimate(images: Tensor) -> float:
        return network(images)[1][:, 2].mean().item()

    def another(gain: float) -> Tensor:
        return recolored(lambda ab: gain * ab.roll(7, 0))

    estimates = [mean_estimate(images) for images in (photos(), another(0.5), another(1), another(1.5))]
    assert estimates == sorted(estimates)


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


# --- training --------------------------------------------------------------------------------------------------------


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
