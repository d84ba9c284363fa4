"""How much several colorings of an image by a model with a noise input differ, and how good the best is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from benchmarks.quality.options import QualityOptions
from benchmarks.quality.summary import describe_members
from colornet.color import ColorSpace, lightness_input, rgb_to_lab
from colornet.evaluation.loop import colorize_all, colorize_with, map_images
from colornet.metrics.image import ciede2000
from colornet.models.unet import UNet, fixed_noise

_PSNR_CAP = 100.0  # dB that an image equal to the truth counts, as in the column PSNR


def evenly_spaced(count: int, wanted: int) -> Tensor:
    """Return positions (wanted,) of images evenly spaced over a set of `count`, or all where there are no more."""
    wanted = min(wanted, count)
    return torch.arange(wanted) * count // wanted


def diversity_scores(
    samples: Sequence[Tensor], truth: Tensor, accelerator: Accelerator, *, batch_size: int
) -> dict[str, float]:
    """Compare several colorings of the same images with each other and with the truth, all uint8 (N, 3, H, W).

    Returns means over the images: `pairwise`, the mean ΔE00 between two colorings, over all pairs; `ciede2000` and
    `psnr`, the mean over the colorings; `best_ciede2000` and `best_psnr`, those of the coloring that is nearest to
    the truth by the same measure, which only an oracle can choose.
    """
    count = len(samples)

    def compare(stack: Tensor) -> dict[str, Tensor]:
        *outputs, true = (stack.double() / 255).chunk(count + 1, dim=1)  # (n, 3, H, W) each
        labs, true_lab = [rgb_to_lab(output) for output in outputs], rgb_to_lab(true)
        pairs = [ciede2000(x, y).mean((1, 2)) for x, y in itertools.combinations(labs, 2)]
        errors = torch.stack([ciede2000(lab, true_lab).mean((1, 2)) for lab in labs])  # (samples, n)
        mse = torch.stack([(output - true).square().mean((1, 2, 3)) for output in outputs])  # (samples, n)
        psnr = (-10 * mse.log10()).clamp(max=_PSNR_CAP)
        return {
            "pairwise": torch.stack(pairs).mean(0),
            "ciede2000": errors.mean(0),
            "best_ciede2000": errors.amin(0),
            "psnr": psnr.mean(0),
            "best_psnr": psnr.amax(0),
        }

    found = map_images(compare, torch.cat((*samples, truth), dim=1), accelerator, batch_size=batch_size)
    return {name: values.mean().item() for name, values in found.items()}


def measure_diversity(
    network: UNet,
    space: ColorSpace,
    images: Tensor,
    ranked: Tensor,
    accelerator: Accelerator,
    options: QualityOptions,
) -> dict[str, Any]:
    """Color evenly spaced ones of uint8 images (N, 3, H, W) several times, each time with other noise, and compare.

    `ranked` (N, 3, H, W) are the colorings that the ranking sees: those of sample 0, the noise that a network makes
    itself where none is given.
    """
    batch_size = options.batch_size
    positions = evenly_spaced(len(images), options.sample_images)
    some, colored = images[positions], [ranked[positions]]
    for sample in range(1, options.samples):

        def color(condition: Tensor, sample: int = sample) -> Tensor:
            predicted: Tensor = network(condition, fixed_noise(condition, network.noise_channels, sample))
            return predicted

        colorize = colorize_with(color, space, accelerator, gray=lightness_input)
        colored.append(colorize_all(colorize, some, accelerator, batch_size=batch_size))
    values = diversity_scores(colored, some, accelerator, batch_size=batch_size)
    return {"samples": options.samples, "images": len(some), "values": values}


def summarize_diversity(members: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Reduce what was measured of the members of a row to mean and standard deviation (n − 1), if anything was."""
    if not members:
        return None
    first = members[0]
    values = {name: describe_members([member["values"][name] for member in members]) for name in first["values"]}
    return {**first, "values": values}
