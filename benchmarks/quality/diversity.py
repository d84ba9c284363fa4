"""How much several colorings of an image by a model with a noise input differ, and how good the best is."""

from __future__ import annotations

import itertools
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


def evenly_spaced(count: int, wanted: int) -> Tensor:
    """Return positions (wanted,) of images evenly spaced over a set of `count`, or all where there are no more."""
    wanted = min(wanted, count)
    return torch.arange(wanted) * count // wanted


def diversity_scores(
    samples: Sequence[Tensor], truth: Tensor, accelerator: Accelerator, *, batch_size: int
) -> dict[str, float]:
    """Compare several colorings of the same images with each other and with the truth, all uint8 (N, 3, H, W).

    Returns means over the images: `pairwise`, the mean pairwise ΔE00 of the colorings; `ciede2000` and `psnr`, the mean
    over the colorings; `best_ciede2000` and `best_psnr`, those of the coloring nearest to the truth by the same metric.
    """

    def compare(stack: Tensor) -> dict[str, Tensor]:
        *outputs, true = (stack.double() / 255).split(3, dim=1)  # (n, 3, H, W) each
        labs, true_lab = [rgb_to_lab(output) for output in outputs], rgb_to_lab(true)
        pairs = [ciede2000(x, y).mean((1, 2)) for x, y in itertools.combinations(labs, 2)]
        errors = torch.stack([ciede2000(lab, true_lab).mean((1, 2)) for lab in labs])  # (samples, n)
        mse = torch.stack([(output - true).square().mean((1, 2, 3)) for output in outputs])  # (samples, n)
        psnr = (-10 * mse.log10()).clamp(max=100)  # as in the column PSNR
        return {
            "pairwise": torch.stack(pairs).mean(0),
            "ciede2000": errors.mean(0),
            "best_ciede2000": errors.amin(0),
            "psnr": psnr.mean(0),
            "best_psnr": psnr.amax(0),
        }

    found = map_images(compare, torch.cat((*samples, truth), dim=1), accelerator, batch_size=batch_size)
    return {name: values.mean().item() for name, values in found.items()}


def measure_diversity(scorer: Scorer, network: Generator, space: ColorSpace, ranked: Tensor) -> dict[str, Any]:
    """Color evenly spaced images several times, each time with other noise, and compare.

    `ranked` (N, 3, H, W) are the colorings that the ranking sees: those of sample 0, the noise that a network makes
    itself where none is given.
    """
    options = scorer.options
    positions = evenly_spaced(len(scorer.images), options.sample_images)
    some = scorer.images[positions]

    def colorize(sample: int) -> Tensor:
        return scorer.colorize(lambda gray: network(gray, network.noise(gray, sample)), space, images=some)

    colored = [ranked[positions], *map(colorize, range(1, options.samples))]
    values = diversity_scores(colored, some, scorer.accelerator, batch_size=options.batch_size)
    return {"samples": options.samples, "images": len(some), "values": values}


def summarize_diversity(members: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Reduce what was measured of the members of a row to mean and standard deviation (n − 1), if anything was."""
    if not members:
        return None
    values = {name: describe_members([one["values"][name] for one in members]) for name in members[0]["values"]}
    return {**members[0], "values": values}
