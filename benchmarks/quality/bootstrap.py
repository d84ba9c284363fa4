"""Intervals of the columns that are functions of per-image values, by resampling the images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["BOOTSTRAPPED", "SHARES", "bootstrap"]

BOOTSTRAPPED = (
    "accuracy", "cf", "delta_cf", "delta_cf_image", "mean_a", "mean_b", "chroma", "colored", "sepia", "psnr",
    "psnr_pooled", "ssim", "l1", "ciede2000", "lightness", "lpips", "nazeri_2", "nazeri_5",
)  # fmt: skip
"""Columns that are functions of per-image values, for which resampling the images gives an interval."""

SHARES = ("nazeri_2", "nazeri_5", "colored", "sepia")
"""Columns that are shares of pixels, 0 to 1 for each image and per cent in the table."""

_RESAMPLED = (
    "psnr", "ssim", "l1", "ciede2000", "lightness", "cf", "mean_a", "mean_b", "chroma", "right", "lpips", *SHARES,
)  # fmt: skip
_RESAMPLES = 1000


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
