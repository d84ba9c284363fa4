"""The rows that need no model: floors, oracles, and sanity-check baselines that a sound metric must rank below models.

Each takes the true images, uint8 (N, 3, H, W), and the training images, and returns images of the kind and order of the
first. Oracles and sanity checks get their lightness from the protocol's one input, L* at 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from colornet.color import Gray, lab_to_rgb, lightness_input, rgb_to_lab, to_float, to_uint8
from colornet.data import Dataset
from colornet.evaluation.loop import gray_floor
from colornet.evaluation.validation import ValidationScore

GRADIENT = 23.0
"""b* at the bottom of the fixed gradient, −b* at its top: gives the validation images of `cifar10-jpeg` the mean
colorfulness of the true ones, with the same colors for every image."""

_BATCH = 500

Kind = Literal["truth", "floor", "oracle", "sanity_check", "model", "unranked"]
Make = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """A row of the table: what it is, and how its images are made of the true ones and the training images."""

    name: str
    kind: Kind
    about: str
    make: Make
    paired: bool = True  # whether each image is one of the true images, so that the two can be compared


def reference_rows() -> list[Row]:
    """List the rows that every table carries beside its models."""
    notebook_gray = "The mean of R, G and B: the original notebooks' gray."
    return [
        Row("real", "truth", "The true images.", lambda images, _: images),
        Row("real, other images", "unranked", "Training images, evenly spaced: the floor of distances between sets.",
            _others, paired=False),
        Row("gray", "floor", "L* of the image, a* = b* = 0.", _gray_as("lightness")),
        Row("gray, channel mean", "unranked", notebook_gray, _gray_as("mean")),
        Row("gray, Rec. 601", "unranked", "The luma of Rec. 601: what most programs call gray.", _gray_as("rec601")),
        Row("oracle, true ab", "oracle", "8-bit L* and the true a*b*: what the rounding of L* costs.", _colored(_ab)),
        Row("oracle, ab at 16×16", "oracle", "L* and the true a*b*, one value for 2 × 2 pixels.", _colored(_half)),
        Row("oracle, mean ab", "oracle", "L* and the image's own mean a*b*, constant over the image.", _colored(_mean)),
        Row("data set's mean ab", "floor", "L* and one a*b*, the mean over the training images.", _global_mean),
        Row("sanity check, another's ab", "sanity_check", "L* and the a*b* of another image, drawn at random.",
            swap_colors),
        Row("sanity check, gradient", "sanity_check", "L* and the same gradient from blue to yellow for every image.",
            _colored(_gradient)),
        Row("sanity check, nearest ab", "sanity_check", "L* and the a*b* of the training image nearest in L*.",
            _nearest_ab),
    ]  # fmt: skip


def score_rows(score: ValidationScore, dataset: Dataset, kinds: Collection[str]) -> dict[str, dict[str, float]]:
    """Score the rows of some kinds on the images of `score`, by one process; return the scores by row."""
    scores = {}
    for row in reference_rows():
        if row.kind not in kinds:
            continue
        made = iter(row.make(score.images, dataset.train).split(score.batch_size))  # scored in this order

        def colorize(_: Tensor, made: Iterator[Tensor] = made) -> Tensor:
            return next(made).to(score.accelerator.device)

        scores[row.name] = score(colorize)
    return scores


def _others(images: Tensor, training: Tensor) -> Tensor:
    return training[torch.linspace(0, len(training) - 1, len(images)).long().to(training.device)]


def swap_colors(images: Tensor, _: Tensor) -> Tensor:
    """Give each of uint8 images (N, 3, H, W) the a*b* of another, along a random cycle: none keeps its own colors."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    donor = torch.empty_like(order)
    donor[order] = order.roll(1)
    return _recolor(images, _ab, images[donor])


def _colored(color: Callable[[Tensor], Tensor]) -> Make:
    return lambda images, _: _recolor(images, color)


def _gray_as(kind: Gray) -> Make:
    return lambda images, _: torch.cat([gray_floor(part, kind) for part in images.split(_BATCH)])


def _recolor(images: Tensor, color: Callable[[Tensor], Tensor], donors: Tensor | None = None) -> Tensor:
    """Join the 8-bit L* of images (N, 3, H, W) with the a*b* that `color` makes of their Lab or that of `donors`."""
    batches = []
    for batch, others in zip(images.split(_BATCH), (images if donors is None else donors).split(_BATCH), strict=True):
        lightness = rgb_to_lab(lightness_input(to_float(batch)))[:, :1]  # (n, 1, H, W)
        ab = color(rgb_to_lab(to_float(others)))  # (n, 2, H, W)
        batches.append(to_uint8(lab_to_rgb(torch.cat((lightness, ab), dim=1))))
    return torch.cat(batches)


def _ab(lab: Tensor) -> Tensor:
    return lab[:, 1:]


def _half(lab: Tensor) -> Tensor:
    half = F.interpolate(lab[:, 1:], scale_factor=0.5, mode="area")  # (n, 2, H / 2, W / 2)
    return F.interpolate(half, size=lab.shape[-2:], mode="nearest")


def _mean(lab: Tensor) -> Tensor:
    return lab[:, 1:].mean((2, 3), keepdim=True).expand_as(lab[:, 1:])


def _gradient(lab: Tensor) -> Tensor:
    b = torch.linspace(-GRADIENT, GRADIENT, lab.shape[2], device=lab.device)  # (H,)
    return torch.stack((torch.zeros_like(b), b))[None, :, :, None].expand_as(lab[:, 1:])


def _global_mean(images: Tensor, training: Tensor) -> Tensor:
    sums = [rgb_to_lab(to_float(batch))[:, 1:].mean((2, 3)).sum(0) for batch in training.split(_BATCH)]
    mean = (torch.stack(sums).sum(0) / len(training))[:, None, None]  # (2, 1, 1)
    return _recolor(images, lambda lab: mean.expand_as(lab[:, 1:]))


def _nearest_ab(images: Tensor, training: Tensor) -> Tensor:
    keys = torch.cat([_lightness(batch) for batch in training.split(_BATCH)])  # (M, H * W)
    norms = keys.square().sum(1)  # (M,)
    # |q − k|² less |q|², which is the same for all k.
    nearest = [(norms - 2 * _lightness(batch) @ keys.T).argmin(1) for batch in images.split(_BATCH)]
    return _recolor(images, _ab, training[torch.cat(nearest)])


def _lightness(images: Tensor) -> Tensor:
    return rgb_to_lab(to_float(images))[:, 0].flatten(1)  # (n, H * W)
