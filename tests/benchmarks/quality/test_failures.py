"""The kinds of failure: rules in their order, counts that add up, and the worst images first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.quality.failures import CATEGORIES, categorize, describe_failures, worst_images

Scores = dict[str, Tensor]


def scores(**changes: float) -> Scores:
    """Forty images that are about right, the first of which is changed."""
    usual = {"chroma": 12.0, "chroma_truth": 14.0, "hue_error": 20.0, "cf_truth": 30.0, "cf": 28.0, "ciede2000": 9.0}
    found = {name: torch.full((40,), value, dtype=torch.float64) for name, value in usual.items()}
    for name, value in changes.items():
        found[name][0] = value
    return found


@pytest.mark.parametrize(
    ("changes", "category"),
    [
        ({"chroma_truth": 2, "chroma": 11, "hue_error": 170}, "color where the truth is gray"),
        ({"chroma_truth": 2, "chroma": 9}, "too much color"),  # not plainly colored
        ({"chroma": 3, "cf_truth": 90}, "no color where the truth has it"),
        ({"hue_error": 60, "cf_truth": 90}, "wrong hue"),
        ({"cf_truth": 90, "chroma_truth": 40}, "truth unusually colorful"),
        ({"chroma": 22}, "too much color"),
        ({"chroma_truth": 19}, "too little color"),
        ({}, "none of these"),
    ],
)
def test_an_image_is_of_the_first_kind_whose_rule_it_meets(changes: dict[str, float], category: str) -> None:
    kinds = categorize(scores(**changes))
    assert [*CATEGORIES][int(kinds[0])] == category
    assert {[*CATEGORIES][int(kind)] for kind in kinds[1:]} == {"none of these"}


def test_worst_images_come_worst_first() -> None:
    found = scores()
    found["ciede2000"][[7, 3, 20]] = torch.tensor((50.0, 40.0, 30.0)).double()
    found["cf"][5] = 80
    lists = worst_images(found)
    assert lists["largest ΔE00"][:4] == [7, 3, 20, 0]
    assert lists["most over-colored"][0] == 5
    assert all(len(positions) == 10 for positions in lists.values())


def test_failures_say_what_the_classifier_sees_and_count_everything() -> None:
    found = scores(ciede2000=60, hue_error=100) | {"class": torch.arange(40) % 10}
    truth = {"class": (torch.arange(40) + 1) % 10}
    described = describe_failures(found, truth, torch.arange(40) % 10)
    first = described["lists"]["largest ΔE00"][0]
    assert first == {
        "position": 0, "class": "airplane", "seen_as": "airplane", "truth_seen_as": "automobile", "ciede2000": 60,
        "cf": 28, "cf_truth": 30, "hue_error": 100, "category": "wrong hue",
    }  # fmt: skip
    assert described["counted"] == 40
    counts = dict.fromkeys(CATEGORIES, 0) | {"wrong hue": 1, "none of these": 39}
    assert described["counts"] == described["all"] == counts
    assert "class" not in describe_failures(found, truth, None)["lists"]["largest ΔE00"][0]
