"""Intervals over resampled images, against those of a mean and against what the table shows."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import Tensor

from benchmarks.quality.color_stats import color_scores
from benchmarks.quality.columns import BOOTSTRAPPED, SHARES
from benchmarks.quality.scorer import Scores
from benchmarks.quality.summary import ScoredRow, bootstrap, summarize_result, summarize_sampler
from colornet.evaluation.loop import gray_floor
from colornet.metrics.image import image_metrics, summarize
from tests.images import photos


def drawn(count: int, seed: int = 0) -> dict[str, Tensor]:
    """Per-image values of known distributions."""
    generator = torch.Generator().manual_seed(seed)
    names = ("psnr", "ssim", "l1", "ciede2000", "lightness", "cf", "cf_truth", "accuracy_at_2", "accuracy_at_5",
             "lpips", "mse")  # fmt: skip
    values = {name: torch.rand(count, dtype=torch.float64, generator=generator) for name in names}
    return values | {"accuracy": (values["cf"] < 0.8).double(), "mse": 0.01 * values["mse"]}


def test_intervals_are_those_of_a_mean() -> None:
    widths = {}
    for count in (50, 5000):
        values = drawn(count)
        low, high = bootstrap([values])["ssim"]
        widths[count] = high - low
        assert low < values["ssim"].mean() < high
        assert high - low == pytest.approx(2 * 1.96 * values["ssim"].std().item() / math.sqrt(count), rel=0.12)
    assert widths[5000] < 0.2 * widths[50]


def test_intervals_contain_what_the_table_shows() -> None:
    """For real per-image values, and where one of two members reproduces images that the other does not."""
    outputs = (gray_floor(photos()), photos().roll(1, 3))
    members = [{**image_metrics(output, photos()), **color_scores(output, photos())} for output in outputs]
    members[1]["psnr"][:20] = math.inf
    intervals = bootstrap(members)
    summaries = [summarize(member) for member in members]
    assert intervals.keys() == set(BOOTSTRAPPED) - {"accuracy", "lpips"}
    described = {"mean_a", "mean_b", "chroma"}
    for name in set(intervals) - {*SHARES} - described:
        low, high = intervals[name]
        assert low < statistics.mean(summary[name] for summary in summaries) < high, name
    for name in ("accuracy_at_5", "colored", "sepia", *described):
        low, high = intervals[name]
        factor = 100 if name in SHARES else 1
        assert low < factor * statistics.mean(member[name].mean().item() for member in members) < high, name
    accuracy = bootstrap([drawn(1000)])["accuracy"]
    assert accuracy[0] < 100 * drawn(1000)["accuracy"].mean() < accuracy[1]
    assert bootstrap([drawn(50)]) == bootstrap([drawn(50)])


def scored(name: str, **values: float) -> ScoredRow:
    known = {key: torch.rand(30, generator=torch.Generator().manual_seed(1)).double() for key in ("cf", "cf_truth")}
    per_image = known | {"psnr": known["cf"], "mse": known["cf"]}
    return ScoredRow(name, "model", "", [Scores(dict(values), per_image, {})], torch.empty(0), {})


@pytest.mark.parametrize(("told", "expected"), [(90.0, 25.0), (None, None), (79.0, None)])
def test_accuracy_is_a_share_of_what_gray_tells(told: float | None, expected: float | None) -> None:
    rows = [scored("real", accuracy=92.0), scored("gray", accuracy=80.0), scored("ae", accuracy=82.5)]
    real, gray, model = (summarize_result(row, rows, accuracy_told=told)["values"]["accuracy_share"] for row in rows)
    if expected is None:
        assert real is gray is model is None
    else:
        assert (real["mean"], gray["mean"], model["mean"]) == (120, 0, expected)


def test_a_perfect_sampler_draws_from_the_others_of_the_class() -> None:
    """Its |ΔCF| against all pairs of true images; a class of one image has no other."""
    truth = scored("real").scores[0].per_image["cf"]
    apart = (truth[:, None] - truth).abs()
    drawn = summarize_sampler([scored("real")], None)["values"]
    assert drawn["delta_cf_image"]["mean"] == pytest.approx(apart.sum().item() / (30 * 29), rel=1e-12)
    assert (drawn["w1_cf"]["mean"], drawn["psnr"]) == (0, None)
    classes = torch.tensor([0] * 19 + [1] * 10 + [2])
    same = (classes[:, None] == classes).double().fill_diagonal_(0)
    expected = (apart * same).sum(1) / same.sum(1).clamp(min=1)
    drawn = summarize_sampler([scored("real")], classes)["values"]
    assert drawn["delta_cf_image"]["mean"] == pytest.approx(expected.mean().item(), rel=1e-12)
