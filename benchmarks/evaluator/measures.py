"""The other headline measures of colorizers on altered images: whether each gets worse with every step."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from benchmarks.quality.columns import COLUMNS, PAIRED
from colornet.metrics.distribution import precision_recall
from colornet.metrics.image import summarize

EVALUATOR = "v2"  # on whose features they are
_PRECISION, _RECALL = "precision_cifar10_v2", "recall_cifar10_v2"
MEASURES = ("w1_cf", "accuracy", _PRECISION, _RECALL, "ciede2000", "psnr")
"""Columns of the quality table. The share of accuracy is a linear function of it, e one of the Fréchet distance."""


def score_set(
    found: Mapping[str, Tensor], features: Tensor, true_features: Tensor, labels: Tensor | None, *, paired: bool
) -> dict[str, float]:
    """Measure a set by all of `MEASURES` that are known of it.

    Args:
        found: per-image values (N,): those of `image_metrics`, and `class`, as the evaluator predicts it.
        features, true_features: (N, D) and (M, D), of the set and of the true images.
        labels: classes of CIFAR-10 (N,), None for other classes.
        paired: whether each image belongs to one of the true images.
    """
    values = summarize(found)
    values[_PRECISION], values[_RECALL] = precision_recall(features, true_features)
    if labels is not None:
        values["accuracy"] = 100 * (found["class"] == labels).double().mean().item()
    return {name: values[name] for name in MEASURES if name in values and (paired or name not in PAIRED)}


def describe_measures(
    scores: Mapping[str, Mapping[str, float]],
    sweeps: Mapping[str, Sequence[float]],
    sanity_checks: Collection[str],
    runs: Collection[str],
) -> dict[str, Any]:
    """Describe how each measure changes with each sweep, and whether it ranks sanity checks below the runs.

    `scores` are those of `score_set` by set, of which `f"{sweep} {amount:g}"` is a point of a sweep. Returns by measure
    `sweeps`, each with `until`, the last amount up to which the measure gets worse and no step makes it better (shares
    may stay at 1 for a while), and `monotone`, whether that is the last; `rows`, the values of the other sets;
    `preferred`, the sanity checks that are not worse than every run, empty without runs.
    """
    points = {f"{sweep} {amount:g}" for sweep, amounts in sweeps.items() for amount in amounts}
    described = {}
    for name in MEASURES:
        values = {place: known[name] for place, known in scores.items() if name in known}
        sign = -1 if COLUMNS[name].better == "higher" else 1
        if any(place not in values for place in points):
            continue
        found = {}
        for sweep, amounts in sweeps.items():
            along = [values[f"{sweep} {amount:g}"] for amount in amounts]
            better = [sign * after < sign * before for before, after in itertools.pairwise(along)]
            last = better.index(True) if True in better else len(better)
            last = 0 if along[last] == along[0] else last
            until = {"until": amounts[last], "monotone": last == len(better)}
            found[sweep] = {"amounts": amounts, "values": along, **until}
        rows = {place: value for place, value in values.items() if place not in points}
        worst = max((sign * rows[run] for run in runs), default=None)
        preferred = [row for row in sanity_checks if worst is not None and sign * rows[row] <= worst]
        described[name] = {"sweeps": found, "rows": rows, "preferred": preferred}
    return described
