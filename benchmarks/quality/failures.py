"""The worst images of a colorizer, and the kind of each failure, by rules on measured values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.quality.summary import ScoredRow
from colornet.metrics.evaluator import CIFAR10_CLASSES
from colornet.metrics.image import COLORED

SHOWN = 10  # images of each list that are shown
COUNTED = 500  # worst images whose categories are counted

_PLAINLY = 2 * COLORED  # mean C* of an image that plainly has color
_WRONG_HUE = 60.0  # degrees, a sixth of the circle: red for yellow
_UNUSUAL = 0.95  # quantile of the true images' CF
_FACTOR = 1.5  # by which chroma is much too strong, or too weak

CATEGORIES = {
    "color where the truth is gray": f"Mean C* of the truth below {COLORED:g}, of the output {_PLAINLY:g} or more.",
    "no color where the truth has it": f"Mean C* of the output below {COLORED:g}, of the truth {_PLAINLY:g} or more.",
    "wrong hue": f"The mean angle between the hues of output and truth, weighed by their chroma, is {_WRONG_HUE:g}° or "
    "more.",
    "truth unusually colorful": f"The truth's CF is above the {100 * _UNUSUAL:g} % quantile of all true images.",
    "too much color": f"Mean C* of the output more than {_FACTOR:g} times the truth's.",
    "too little color": f"Mean C* of the truth more than {_FACTOR:g} times the output's.",
    "none of these": "Hue and strength are about right on average: the colors lie in the wrong places.",
}
"""The kinds of failure in the order in which they are tried: an image is of the first whose rule it meets."""


def categorize(scores: Mapping[str, Tensor]) -> Tensor:
    """Assign images to the `CATEGORIES`: int64 (N,), the index of the first whose rule they meet.

    `scores` has `chroma`, `chroma_truth`, `hue_error` and `cf_truth` (N,), of all images of the set.
    """
    chroma, truth = scores["chroma"], scores["chroma_truth"]
    rules = (
        (truth < COLORED) & (chroma >= _PLAINLY),
        (chroma < COLORED) & (truth >= _PLAINLY),
        scores["hue_error"] >= _WRONG_HUE,
        scores["cf_truth"] > scores["cf_truth"].quantile(_UNUSUAL),
        chroma > _FACTOR * truth,
        truth > _FACTOR * chroma,
        torch.ones_like(truth, dtype=torch.bool),
    )
    return torch.stack(rules).int().argmax(0)  # the first of equals


def worst_images(scores: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """List the positions of the `SHOWN` worst images, the worst first: by mean ΔE00, and by CF above the truth's."""
    wrong = {"largest ΔE00": scores["ciede2000"], "most over-colored": scores["cf"] - scores["cf_truth"]}
    return {name: values.argsort(descending=True, stable=True)[:SHOWN].tolist() for name, values in wrong.items()}


def describe_failures(
    scores: Mapping[str, Tensor], truth: Mapping[str, Tensor], labels: Tensor | None
) -> dict[str, Any]:
    """Describe the worst images, and count the categories among the `COUNTED` worst and among all.

    `scores` and `truth` are the per-image values of the model and of the true images; `labels` (N,) are classes of
    CIFAR-10, or None: then what the classifier sees is left out.
    """
    kinds, names = categorize(scores), [*CATEGORIES]
    order = scores["ciede2000"].argsort(descending=True, stable=True)

    def counts(positions: Tensor) -> dict[str, int]:
        return dict(zip(names, kinds[positions].bincount(minlength=len(names)).tolist(), strict=True))

    def describe(position: int) -> dict[str, Any]:
        values = {name: scores[name][position].item() for name in ("ciede2000", "cf", "cf_truth", "hue_error")}
        seen = {} if labels is None else {"class": labels, "seen_as": scores["class"], "truth_seen_as": truth["class"]}
        known = {name: CIFAR10_CLASSES[int(classes[position])] for name, classes in seen.items()}
        return {"position": position, **known, **values, "category": names[int(kinds[position])]}

    return {
        "lists": {name: [*map(describe, positions)] for name, positions in worst_images(scores).items()},
        "counted": len(order[:COUNTED]),
        "counts": counts(order[:COUNTED]),
        "all": counts(order),
    }


def failures_of(results: Sequence[ScoredRow], labels: Tensor | None) -> dict[str, dict[str, Any]]:
    """Describe the failures of the models that keep the input's lightness: ΔE00 of the others is not of color alone.

    Of a model with several runs, the first. `labels` (N,) are classes of CIFAR-10, or None.
    """
    truth = next(result.scores[0].per_image for result in results if result.name == "real")
    return {
        result.name: describe_failures(result.scores[0].per_image, truth, labels)
        for result in results
        if result.kind == "model" and all(run["config"]["color_space"] == "lab" for run in result.runs.values())
    }
