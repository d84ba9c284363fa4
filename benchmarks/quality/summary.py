"""What is made of the scores of a row: mean, standard deviation over its members, and intervals over the images."""

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

_RESAMPLED = (
    "psnr", "ssim", "l1", "ciede2000", "lightness", "cf", "mean_a", "mean_b", "chroma", "right", "lpips", *SHARES,
)  # fmt: skip
_RESAMPLES = 1000


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


def summarize_result(result: ScoredRow, results: Sequence[ScoredRow]) -> dict[str, Any]:
    """Reduce the members of a row to mean, standard deviation (n − 1) and 95 % interval of every column."""
    real, gray = (next(other.scores[0] for other in results if other.name == name) for name in ("real", "gray"))
    intervals = bootstrap([score.per_image for score in result.scores])
    scores = result.scores
    values = _over_members([_normalized(one.values, real.values, gray.values) for one in scores], COLUMNS)
    distinct = _over_members([_normalized(one.distinct, real.distinct, gray.distinct) for one in scores], DISTINCT)
    for name, value in values.items():
        if value is not None:
            value["interval"] = intervals.get(name) if name in BOOTSTRAPPED else None
    return {
        "name": result.name,
        "kind": result.kind,
        "about": result.about,
        "members": list(result.runs),
        "values": values,
        "distinct": distinct,
        "cf_quantiles": _quantiles(result.scores[0].per_image["cf"]),
        "diversity": result.diversity,
        "runs": result.runs,
    }


def _quantiles(values: Tensor) -> dict[str, float]:
    """Return what a box plot shows of per-image values (N,): the 5, 25, 50, 75 and 95 % quantiles."""
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    found = values.double().quantile(torch.tensor(shares, dtype=torch.float64)).tolist()
    return {f"{share:.0%}": value for share, value in zip(shares, found, strict=True)}


def _over_members(members: Sequence[dict[str, float | None]], columns: Iterable[str]) -> dict[str, Any]:
    """Reduce the values of each column over the members of a row; a column that cannot be had is None."""
    values: dict[str, Any] = {}
    for name in columns:
        known = [value for member in members if (value := member.get(name)) is not None]
        values[name] = None if len(known) < len(members) else describe_members(known)
    return values


def describe_members(values: list[float]) -> dict[str, Any]:
    """Reduce the values of the members of a row to their mean and standard deviation (n − 1)."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "sd": sd, "members": values}


def _normalized(values: Values, real: Values, gray: Values) -> Values:
    """Add e = (FD − real) / (gray − real) for both references, and drop what JSON cannot hold."""
    found = {name: None if value is None else finite_or_none(value) for name, value in values.items()}
    for end in ("", "_train"):
        fd, low, high = (one.get(f"fd_cifar10_v1{end}") for one in (values, real, gray))
        if fd is None or low is None or high is None:
            found[f"e_cifar10_v1{end}"] = None
        else:
            found[f"e_cifar10_v1{end}"] = (fd - low) / (high - low)
    return found


def bootstrap(members: Sequence[Mapping[str, Tensor]]) -> dict[str, tuple[float, float]]:
    """Return the 95 % intervals of the columns that follow from per-image values, over resampled images.

    The values of several members (seeds) are averaged image by image: the interval tells what other test images would
    change, the standard deviation over the members what other seeds would.
    """
    capped = [{**member, "psnr": member["psnr"].clamp(max=100)} for member in members]
    joint = {name: torch.stack([member[name].double() for member in capped]).mean(0) for name in _RESAMPLED
             if all(name in member for member in capped)}  # fmt: skip
    delta = [member["cf"] - member["cf_truth"] for member in members]
    joint["delta_cf"] = torch.stack(delta).mean(0)
    joint["delta_cf_image"] = torch.stack(delta).abs().mean(0)
    count = len(joint["cf"])
    drawn = torch.randint(count, (_RESAMPLES, count), generator=torch.Generator().manual_seed(0))
    weights = torch.zeros(_RESAMPLES, count).scatter_add_(1, drawn, torch.ones(_RESAMPLES, count)).double() / count
    means = {name: weights @ values for name, values in joint.items()}  # (_RESAMPLES,) each
    mse = torch.stack([member["mse"].double() for member in members])  # (members, N), each of which has its own dB
    means["psnr_pooled"] = -10 * (weights @ mse.T).log10().mean(1)
    for name in ("right", *SHARES):
        if name in means:
            means[name] = means[name] * 100
    if "right" in means:
        means["accuracy"] = means.pop("right")
    intervals = {}
    for name, resampled in means.items():
        low, high = resampled.quantile(torch.tensor((0.025, 0.975), dtype=torch.float64)).tolist()
        if math.isfinite(low) and math.isfinite(high):
            intervals[name] = (low, high)
    return intervals
