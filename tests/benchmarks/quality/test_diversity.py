"""Several colorizations of an image: their differences, the best of them, and a model that ignores its noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.quality.diversity import _covered, diversity_scores, evenly_spaced, summarize_diversity
from colornet.color import lab_to_rgb, to_uint8
from colornet.metrics.image import image_metrics
from colornet.training.build import compose_trainer
from tests.benchmarks.quality.comparison import compare, read_rows
from tests.benchmarks.report.records import table_after
from tests.conftest import small
from tests.images import random_pixels


def scored(samples: list[Tensor], truth: Tensor) -> dict[str, float]:
    values: dict[str, float] = diversity_scores(samples, truth, Accelerator(cpu=True), batch_size=3)["values"]
    return values


def test_scores_are_those_of_the_package_over_pairs_and_samples() -> None:
    truth, *samples = random_pixels(4 * 5).unflatten(0, (4, 5))
    found = scored(samples, truth)
    pairs = [image_metrics(samples[i], samples[j])["ciede2000"] for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found["pairwise"] == pytest.approx(torch.stack(pairs).mean().item(), rel=1e-9)
    singles = [image_metrics(sample, truth) for sample in samples]
    for name, best in (("ciede2000", torch.amin), ("psnr", torch.amax)):
        values = torch.stack([single[name] for single in singles])
        assert found[name] == pytest.approx(values.mean().item(), rel=1e-9)
        assert found[f"best_{name}"] == pytest.approx(best(values, 0).mean().item(), rel=1e-9)


def test_the_best_is_chosen_image_by_image() -> None:
    truth = random_pixels(2)
    wrong = 255 - truth
    halves = [torch.stack((truth[0], wrong[1])), torch.stack((wrong[0], truth[1]))]
    found = scored(halves, truth)
    assert (found["best_ciede2000"], found["best_psnr"]) == (0, 100)
    assert found["ciede2000"] > 1


def test_equal_colorings_have_no_diversity() -> None:
    truth, sample = random_pixels(10).unflatten(0, (2, 5))
    found = scored([sample] * 4, truth)
    assert found["pairwise"] == found["spread"] == 0 < found["error"]
    assert found["coverage"] == pytest.approx(0, abs=1)  # of noise, hardly a color is right by chance
    assert found["best_ciede2000"] == pytest.approx(found["ciede2000"], rel=1e-12)


def test_calibrated_colorings_spread_as_far_as_their_mean_is_wrong() -> None:
    """The truth is one more sample of each pixel's distribution, which is narrow in one half of the image."""
    lightness = torch.rand(60, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 60 + 20
    wide = torch.zeros(8, 8, dtype=torch.bool)
    wide[4:] = True
    drawn = drawn_colors(lightness, torch.where(wide, 12.0, 2.0), samples=5)
    truth, *samples = drawn
    classes = (torch.arange(60) % 3).int()
    found = diversity_scores(
        samples, truth, Accelerator(cpu=True), batch_size=60, classes=classes, names=("cat", "dog", "ship", "frog")
    )
    values, calibration = found["values"], found["calibration"]
    assert values["spread"] == pytest.approx(values["error"], rel=0.05)
    assert values["coverage"] == pytest.approx(100 * 3 / 5, abs=2)  # four samples
    assert [*calibration["classes"]] == ["cat", "dog", "ship"]
    assert calibration["bins"][0][1] < 4 < 10 < calibration["bins"][-1][1]  # the error grows with the spread
    assert np.mean(np.square(calibration["bins"]), 0) == pytest.approx(
        [values["spread"] ** 2, values["error"] ** 2], rel=1e-3
    )
    close = drawn_colors(lightness, torch.full((8, 8), 2.0), samples=4)
    overconfident = diversity_scores(close, truth, Accelerator(cpu=True), batch_size=60)
    assert overconfident["values"]["spread"] < 0.4 * overconfident["values"]["error"]
    assert overconfident["values"]["coverage"] < 50
    assert overconfident["calibration"]["classes"] == {}


def drawn_colors(lightness: Tensor, spread: Tensor, samples: int) -> list[Tensor]:
    """Draw a*b* around gray, with a standard deviation (H, W), for the lightness (N, 3, H, W) of images: uint8."""
    generator = torch.Generator().manual_seed(samples)
    colors = spread * torch.randn(samples, len(lightness), 2, 8, 8, generator=generator)
    return [to_uint8(lab_to_rgb(torch.cat((lightness[:, :1], ab), dim=1))) for ab in colors]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [((3, 5), 1), ((5, 6), 0), ((4, 6), 0.5), ((4, 4), 1 / 3), ((2, 4, 9), 1), ((4, 4, 9), 2 / 3)],
)
def test_a_truth_that_equals_samples_counts_as_in_any_order(samples: tuple[int, ...], expected: float) -> None:
    """By the orders of the truth, 4, and its equals."""
    found = _covered(torch.tensor(samples)[:, None], torch.tensor([4]))
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize(("count", "wanted", "expected"), [(10, 4, [0, 2, 5, 7]), (3, 9, [0, 1, 2]), (7, 1, [0])])
def test_images_are_evenly_spaced(count: int, wanted: int, expected: list[int]) -> None:
    assert evenly_spaced(count, wanted).tolist() == expected


def test_seeds_have_a_deviation() -> None:
    members = [
        {"samples": 4, "images": 7, "values": {"pairwise": value, "psnr": value + 20}, "calibration": value}
        for value in (1.0, 3.0)
    ]
    summary = summarize_diversity(members)
    assert summary is not None
    assert (summary["samples"], summary["images"], summary["calibration"]) == (4, 7, 1.0)
    assert summary["values"]["pairwise"] == {"mean": 2.0, "sd": pytest.approx(2**0.5), "members": [1.0, 3.0]}


def test_a_model_with_noise_has_a_table_that_shows_whether_it_ignores_it(folder: Path, tmp_path: Path) -> None:
    """Three trained models: without noise, with it, and the same with the weights of the noise set to zero."""
    for name, channels in (("plain", 0), ("noisy", 3)):
        config = small("ae", folder, tmp_path / name, epochs=1, noise_channels=channels, cache_dir=str(tmp_path / "c"))
        compose_trainer(config).fit()
    silent = tmp_path / "silent"
    silent.mkdir()
    changed = json.loads((tmp_path / "noisy" / "config.json").read_text()) | {"lr": 1e-5}  # another row
    (silent / "config.json").write_text(json.dumps(changed))
    weights = load_file(tmp_path / "noisy" / "model.safetensors")
    first = next(name for name, value in weights.items() if value.ndim == 4 and value.shape[1] == 4)
    weights[first][:, 1:] = 0
    save_file(weights, silent / "model.safetensors", {"step": "6"})
    runs = [tmp_path / name for name in ("plain", "noisy", "silent")]
    compare(*runs, "--out", tmp_path / "out", "--cpu", "--samples", 3, "--sample-images", 10)
    rows = read_rows(tmp_path / "out")
    assert rows["plain"]["diversity"] is None
    assert rows["real"]["diversity"] is None
    noisy, ignoring = (rows[name]["diversity"] for name in ("noisy", "silent"))
    assert (noisy["samples"], noisy["images"]) == (3, 10)
    assert ignoring["values"]["pairwise"]["mean"] == 0
    assert noisy["values"]["pairwise"]["mean"] > 0
    assert noisy["values"]["best_ciede2000"]["mean"] < noisy["values"]["ciede2000"]["mean"]
    assert [*noisy["calibration"]["classes"]] == ["class0", "class1", "class2"]
    assert len(noisy["calibration"]["bins"]) == 10
    markdown = (tmp_path / "out" / "quality.md").read_text()
    assert "3 colorings of each of 10 images" in markdown
    assert [*table_after(markdown, "Several colorizations of an image, unranked")] == ["noisy", "silent"]
    assert "Calibrated colorings cover 50 % of the truth" in markdown
    assert "silent: two colorings differ by less than" in markdown
