"""How much several colorings of an image differ, of a model that sees noise beside it, and how good the best is."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from colornet.color import ColorSpace, lightness_input, rgb_to_lab
from colornet.evaluation.loop import colorize_all, colorize_with, map_images
from colornet.metrics.image import ciede2000
from colornet.models.unet import UNet, fixed_noise

__all__ = [
    "DIVERSITY",
    "diversity_scores",
    "evenly_spaced",
    "format_diversity",
    "measure_diversity",
    "summarize_diversity",
]

DIVERSITY = {
    "pairwise": "between two ΔE00",
    "ciede2000": "ΔE00",
    "best_ciede2000": "best ΔE00",
    "psnr": "PSNR",
    "best_psnr": "best PSNR",
}
"""What is measured of several colorings, and how it is headed."""

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
    the truth by that very measure, which only an oracle can choose.
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
    samples: int,
    sample_images: int,
    *,
    batch_size: int,
) -> dict[str, Any]:
    """Color evenly spaced ones of uint8 images (N, 3, H, W) several times, each time with other noise, and compare.

    `ranked` (N, 3, H, W) are the colorings that the ranking sees: those of sample 0, the noise that a network without
    any given makes itself.
    """
    positions = evenly_spaced(len(images), sample_images)
    some, colored = images[positions], [ranked[positions]]
    for sample in range(1, samples):

        def color(condition: Tensor, sample: int = sample) -> Tensor:
            predicted: Tensor = network(condition, fixed_noise(condition, network.noise_channels, sample))
            return predicted

        colorize = colorize_with(color, space, accelerator, gray=lightness_input)
        colored.append(colorize_all(colorize, some, accelerator, batch_size=batch_size))
    values = diversity_scores(colored, some, accelerator, batch_size=batch_size)
    return {"samples": samples, "images": len(some), "values": values}


def summarize_diversity(members: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Reduce what was measured of the members of a row to mean and standard deviation (n − 1), if anything was."""
    if not members:
        return None
    values = {}
    for name in DIVERSITY:
        known = [member["values"][name] for member in members]
        sd = statistics.stdev(known) if len(known) > 1 else None
        values[name] = {"mean": statistics.mean(known), "sd": sd, "members": known}
    return {**members[0], "values": values}


def format_diversity(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lay out what rows know of several colorings in Markdown: a heading and a table, or nothing if none knows any."""
    known = [row for row in rows if row["diversity"]]
    if not known:
        return []
    first = known[0]["diversity"]
    heading = f"{first['samples']} colorings of each of {first['images']:,} images, not part of the ranking:"
    lines = [["", *DIVERSITY.values()], ["---", *["---:"] * len(DIVERSITY)]]
    for row in known:
        values = row["diversity"]["values"]
        lines.append([row["name"], *(_shown(values[name]) for name in DIVERSITY)])
    return [heading, "\n".join("| " + " | ".join(line) + " |" for line in lines)]


def _shown(value: dict[str, Any]) -> str:
    mean = f"{value['mean']:.2f}"
    return mean if value["sd"] is None else f"{mean} ± {value['sd']:.2f}"
