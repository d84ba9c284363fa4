"""How much several colorings of an image by a model with a noise input differ, how good the best is, and calibration.

Samples are calibrated if the truth could be one of them. Then a truth lies between the smallest and the largest of K
samples with probability (K − 1) / (K + 1) (Hamill 2001, "Interpretation of rank histograms for verifying ensemble
forecasts"), and the squared error of their mean is on average (K + 1) / K times their variance (Fortin et al. 2014,
"Why should ensemble spread match the RMSE of the ensemble mean?"): the samples vary where colors are ambiguous, and not
where they are not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from benchmarks.quality.scorer import Scorer
from benchmarks.quality.summary import describe_members
from colornet.color import ColorSpace, rgb_to_lab
from colornet.evaluation.loop import map_images
from colornet.metrics.image import ciede2000
from colornet.models.build import Generator

BINS = 10  # of the pixels by the spread of their samples, of equal numbers of pixels


def evenly_spaced(count: int, wanted: int) -> Tensor:
    """Return positions (wanted,) of images evenly spaced over a set of `count`, or all where there are no more."""
    wanted = min(wanted, count)
    return torch.arange(wanted) * count // wanted


def diversity_scores(
    samples: Sequence[Tensor],
    truth: Tensor,
    accelerator: Accelerator,
    *,
    batch_size: int,
    classes: Tensor | None = None,
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare several colorings of the same images with each other and with the truth, all uint8 (N, 3, H, W).

    Returns `values`, means over the images: `pairwise`, the mean pairwise ΔE00 of the colorings; `ciede2000` and
    `psnr`, the mean over the colorings; `best_ciede2000` and `best_psnr`, those of the coloring nearest to the truth by
    the same metric; `coverage`, the per cent of a* and b* of the truth that lie between those of the colorings, rounded
    to integers, where equal ones count as if put in random order; `spread` and `error` as below, over all pixels.

    And `calibration`, pairs (spread, error) in units of a*b*: of `bins` of pixels by their spread, from the smallest,
    and of `classes` by name, where they are known (positions (N,) in `names`). The spread is the root mean square
    distance in a*b* from the mean coloring that the colorings predict for the truth, the error the actual one.
    """
    factor = (len(samples) + 1) / len(samples)

    def compare(stack: Tensor) -> dict[str, Tensor]:
        *outputs, true = (stack.double() / 255).split(3, dim=1)  # (n, 3, H, W) each
        labs, true_lab = [rgb_to_lab(output) for output in outputs], rgb_to_lab(true)
        pairs = [ciede2000(x, y).mean((1, 2)) for x, y in itertools.combinations(labs, 2)]
        errors = torch.stack([ciede2000(lab, true_lab).mean((1, 2)) for lab in labs])  # (samples, n)
        mse = torch.stack([(output - true).square().mean((1, 2, 3)) for output in outputs])  # (samples, n)
        psnr = (-10 * mse.log10()).clamp(max=100)  # as in the column PSNR
        ab, true_ab = torch.stack(labs)[:, :, 1:], true_lab[:, 1:]  # (samples, n, 2, H, W), (n, 2, H, W)
        return {
            "coverage": 100 * _covered(ab.round(), true_ab.round()).mean((1, 2, 3)),
            "variance": factor * ab.var(0).sum(1).float(),  # (n, H, W)
            "square": (ab.mean(0) - true_ab).square().sum(1).float(),  # (n, H, W)
            "pairwise": torch.stack(pairs).mean(0),
            "ciede2000": errors.mean(0),
            "best_ciede2000": errors.amin(0),
            "psnr": psnr.mean(0),
            "best_psnr": psnr.amax(0),
        }

    found = map_images(compare, torch.cat((*samples, truth), dim=1), accelerator, batch_size=batch_size)
    variance, square = (found.pop(name).double() for name in ("variance", "square"))  # (N, H, W) each

    def compared(chosen: Tensor | slice, x: Tensor = variance, y: Tensor = square) -> tuple[float, float]:
        return math.sqrt(x[chosen].mean()), math.sqrt(y[chosen].mean())

    flat, errors = variance.flatten(), square.flatten()
    bins = flat.argsort(stable=True).tensor_split(BINS)
    spread, error = compared(slice(None))
    known = [] if classes is None else classes.unique().tolist()
    return {
        "values": {name: values.mean().item() for name, values in found.items()} | {"spread": spread, "error": error},
        "calibration": {
            "bins": [compared(chosen, flat, errors) for chosen in bins if len(chosen)],
            "classes": {names[number]: compared(classes == number) for number in known},
        },
    }


def _covered(samples: Tensor, truth: Tensor) -> Tensor:
    """Return how likely truths (…) lie between the smallest and the largest of samples (K, …), ties put in any order.

    It is 1 inside and 0 outside; of a truth that equals m of the samples, which are on no more than one side of it, it
    is the share of the orders of equals in which the truth is at no end.
    """
    ties = (samples == truth).sum(0) + 1
    lowest, highest = (samples >= truth).all(0) / ties, (samples <= truth).all(0) / ties
    return 1 - lowest - highest


def measure_diversity(scorer: Scorer, network: Generator, space: ColorSpace, ranked: Tensor) -> dict[str, Any]:
    """Color evenly spaced images several times, each time with other noise, and compare.

    `ranked` (N, 3, H, W) are the colorings that the ranking sees: those of sample 0, the noise that a network makes
    itself where none is given.
    """
    options = scorer.options
    positions = evenly_spaced(len(scorer.images), options.sample_images)
    some, classes = scorer.images[positions], None if scorer.classes is None else scorer.classes[positions]

    def colorize(sample: int) -> Tensor:
        return scorer.colorize(lambda gray: network(gray, network.noise(gray, sample)), space, images=some)

    colored = [ranked[positions], *map(colorize, range(1, options.samples))]
    scores = diversity_scores(
        colored, some, scorer.accelerator, batch_size=options.batch_size, classes=classes, names=scorer.names
    )
    return {"samples": options.samples, "images": len(some), **scores}


def summarize_diversity(members: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Reduce what was measured of the members of a row to mean and standard deviation (n − 1), if anything was.

    The calibration is that of the first.
    """
    if not members:
        return None
    values = {name: describe_members([one["values"][name] for one in members]) for name in members[0]["values"]}
    return {**members[0], "values": values}
