"""Reduce the scores of a row: mean, standard deviation over its members, and intervals over the images."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.baselines.reference_rows import Kind
from benchmarks.quality.columns import BOOTSTRAPPED, COLUMNS, DISTINCT, SHARES
from benchmarks.quality.scorer import Scores, Values
from colornet.files import finite_or_none

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of a box plot
_RESAMPLES = 1000

SAMPLER = "oracle, perfect sampler of CF"
"""The row of `summarize_sampler`."""


@dataclasses.dataclass
class ScoredRow:
    """A row of the table: the scores of each of its members, and what is kept of the images of the first."""

    name: str
    kind: Kind
    about: str
    scores: list[Scores]
    pixels: Tensor  # of the first member, uint8 (N, 3, H, W)
    runs: dict[str, dict[str, Any]]
    diversity: dict[str, Any] | None = None  # of a model that sees noise


def summarize_result(
    result: ScoredRow, results: Sequence[ScoredRow], *, accuracy_told: float | None = None
) -> dict[str, Any]:
    """Reduce the members of a row to mean, standard deviation (n − 1) and 95 % interval of every column.

    `accuracy_told` is the accuracy in per cent that gray images allow, if it is known.
    """
    real, gray = (next(other.scores[0] for other in results if other.name == name) for name in ("real", "gray"))
    scores = result.scores
    normalized = [_normalized(one.values, real.values, gray.values, accuracy_told) for one in scores]
    values = _over_members(normalized, COLUMNS)
    distinct = _over_members([_normalized(one.distinct, real.distinct, gray.distinct) for one in scores], DISTINCT)
    intervals = bootstrap([one.per_image for one in scores])
    for name, value in values.items():
        if value is not None:
            value["interval"] = intervals.get(name)
    return {
        "name": result.name,
        "kind": result.kind,
        "about": result.about,
        "members": list(result.runs),
        "values": values,
        "distinct": distinct,
        "cf_quantiles": _quantiles(scores[0].per_image["cf"]),
        "diversity": result.diversity,
        "runs": result.runs,
    }


def summarize_sampler(results: Sequence[ScoredRow], classes: Tensor | None) -> dict[str, Any]:
    """Describe a perfect sampler of colorfulness: each image gets the CF of another true image of its class.

    It knows the class alone; where the images have none (`classes` (N,) is None), it draws from all. Its distribution
    of CF is the true one. It makes no images: `delta_cf_image` is the expectation over what it may draw, and other
    columns are None.
    """
    truth = next(result.scores[0].per_image["cf"] for result in results if result.name == "real").double()
    apart = torch.zeros((), dtype=torch.float64)  # the sum over images of the mean |ΔCF| to the others of its class
    for members in [truth] if classes is None else [truth[classes == number] for number in classes.unique()]:
        ranks = torch.arange(1, len(members) + 1).double()
        apart += 2 * ((2 * ranks - len(members) - 1) * members.sort().values).sum() / max(1, len(members) - 1)
    known = {"cf": truth.mean().item(), "delta_cf": 0.0, "delta_cf_image": apart.item() / len(truth), "w1_cf": 0.0}
    described = {name: {**describe_members([value]), "interval": None} for name, value in known.items()}
    drawn_from = "all images" if classes is None else "the images of the same class"
    return {
        "name": SAMPLER,
        "kind": "oracle",
        "about": f"No images: a CF drawn from the true ones of {drawn_from}. It is right, and its |ΔCF| is large.",
        "members": [],
        "values": dict.fromkeys(COLUMNS) | described,
        "distinct": dict.fromkeys(DISTINCT),
        "cf_quantiles": _quantiles(truth),
        "hues": None,
        "failures": None,
        "diversity": None,
        "runs": {},
    }


def _quantiles(colorfulness: Tensor) -> dict[str, float]:
    values = colorfulness.double().quantile(torch.tensor(_QUANTILES, dtype=torch.float64)).tolist()
    return {f"{share:.0%}": value for share, value in zip(_QUANTILES, values, strict=True)}


def _over_members(members: Sequence[Values], columns: Iterable[str]) -> dict[str, Any]:
    """Reduce the values of each column over the members of a row; None where a member lacks one."""
    values: dict[str, Any] = {}
    for name in columns:
        known = [value for member in members if (value := member.get(name)) is not None]
        values[name] = describe_members(known) if len(known) == len(members) else None
    return values


def describe_members(values: list[float]) -> dict[str, Any]:
    """Reduce the values of the members of a row to their mean and standard deviation (n − 1)."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "sd": sd, "members": values}


def _normalized(values: Values, real: Values, gray: Values, accuracy_told: float | None = None) -> Values:
    """Add e = (FD − real) / (gray − real) for both references and the accuracy's share, and drop what JSON cannot hold.

    The share is (accuracy − gray) / (told − gray) in per cent; None where gray is said to tell less than it does.
    """
    found = {name: None if value is None else finite_or_none(value) for name, value in values.items()}
    for end in ("", "_train"):
        fd, low, high = (one.get(f"fd_cifar10_v2{end}") for one in (values, real, gray))
        known = None if fd is None or low is None or high is None else (fd - low) / (high - low)
        found[f"e_cifar10_v2{end}"] = known
    accuracy, floor = values.get("accuracy"), gray.get("accuracy")
    if accuracy is not None and floor is not None and accuracy_told is not None and accuracy_told > floor:
        found["accuracy_share"] = 100 * (accuracy - floor) / (accuracy_told - floor)
    return found


def bootstrap(members: Sequence[Mapping[str, Tensor]]) -> dict[str, tuple[float, float]]:
    """Return the 95 % intervals of the columns that follow from per-image values, over resampled images.

    The values of several members (seeds) are averaged image by image: the interval tells what other test images would
    change, the standard deviation over the members what other seeds would.
    """
    per_image = {name: torch.stack([one[name].double() for one in members]) for name in members[0]}  # (members, N)
    delta = per_image["cf"] - per_image["cf_truth"]
    per_image |= {"psnr": per_image["psnr"].clamp(max=100), "delta_cf": delta, "delta_cf_image": delta.abs()}
    count = delta.shape[1]
    drawn = torch.randint(count, (_RESAMPLES, count), generator=torch.Generator().manual_seed(0))
    weights = torch.zeros(_RESAMPLES, count).scatter_add_(1, drawn, torch.ones(_RESAMPLES, count)).double() / count
    resampled = {name: weights @ per_image[name].mean(0) for name in BOOTSTRAPPED if name in per_image}  # (_RESAMPLES,)
    # The pooled PSNR is a mean of the members' dB, each of its own mean squared error.
    resampled["psnr_pooled"] = -10 * (weights @ per_image["mse"].T).log10().mean(1)
    ends = torch.tensor((0.025, 0.975), dtype=torch.float64)
    intervals = {}
    for name, values in resampled.items():
        low, high = (100 * values if name in SHARES else values).quantile(ends).tolist()
        if math.isfinite(low) and math.isfinite(high):
            intervals[name] = (low, high)
    return intervals
