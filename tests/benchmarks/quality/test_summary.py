"""Intervals over resampled images, against those of a mean and against what the table shows."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import Tensor

from benchmarks.quality.color_stats import color_scores
from benchmarks.quality.columns import BOOTSTRAPPED, SHARES
from benchmarks.quality.summary import bootstrap
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
