"""The study behind `python -m benchmarks validate`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from benchmarks.baselines.reference_rows import reference_rows
from benchmarks.core.record import Record, start_record
from benchmarks.evaluator.augment import adjust_chroma
from benchmarks.evaluator.validate_options import ValidateOptions
from colornet.color import lab_to_rgb, lightness_input, rgb_to_lab, to_float, to_uint8
from colornet.data import Dataset, load_dataset
from colornet.evaluation.loop import colorize_all, colorize_with, map_images
from colornet.metrics.distribution import frechet_distance
from colornet.metrics.evaluator import SHIPPED, Cifar10Classifier, evaluator_card, load_evaluator
from colornet.models.build import color_space
from colornet.runs.run import load_run

# What is changed, and how far; each begins with the images as they are.
SWEEPS: dict[str, tuple[float, ...]] = {
    "less chroma": (1, 0.9, 0.75, 0.5, 0.25, 0),
    "more chroma": (1, 1.1, 1.25, 1.5, 2),
    "hue": (0, 10, 30, 60, 90, 135, 180),
    "swapped": (0, 0.1, 0.25, 0.5, 0.75, 1),
}


def measure(options: ValidateOptions) -> Record:
    """Measure every evaluator on every altered set and every row; return the record."""
    accelerator = Accelerator(mixed_precision="no", cpu=options.cpu)
    dataset = load_dataset(options.data, image_size=32, cache_dir=options.cache_dir, progress=True)
    images = dataset.validation
    if options.images is not None:
        images = images[torch.linspace(0, len(images) - 1, min(options.images, len(images))).long()]
    cards, evaluators = _load_evaluators(options.evaluators, accelerator.device)

    def features(pixels: Tensor) -> dict[str, Tensor]:
        def extract(batch: Tensor) -> dict[str, Tensor]:
            return {name: network.features(batch) for name, network in evaluators.items()}

        return map_images(extract, pixels, accelerator, batch_size=options.batch_size)

    truth = features(images)
    distances: dict[str, dict[str, float]] = {name: {} for name in evaluators}
    for name, make in tqdm(list(_sets(options, images, dataset, accelerator)), unit="set", disable=None):
        found = features(make())
        for evaluator in evaluators:
            distances[evaluator][name] = frechet_distance(found[evaluator].double(), truth[evaluator].double())
    data = {"name": dataset.name, "split": "validation", "images": len(images), "fingerprint": dataset.fingerprint}
    return {
        **start_record("evaluator-validation", accelerator.device, options),
        "data": data,
        "evaluators": {name: {"card": card, **_findings(distances[name])} for name, card in cards.items()},
    }


def alter_colors(images: Tensor, sweep: str, amount: float) -> Tensor:
    """Return uint8 images (N, 3, H, W) with their colors changed: a point of one of the `SWEEPS`."""
    if sweep == "swapped":
        # The images that get another's colors come first in a fixed random order: a larger share contains a smaller.
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[: round(amount * len(images))]
        swap = next(row for row in reference_rows() if row.name == "sanity check, another's ab").make
        result = images.clone()
        result[chosen] = swap(images, images)[chosen]
        return result
    gain, angle = (1.0, np.radians(amount)) if sweep == "hue" else (amount, 0.0)
    batches = []
    for batch in images.split(500):
        lab = rgb_to_lab(to_float(batch))  # (n, 3, H, W)
        ab = adjust_chroma(lab[:, 1:], np.full(len(batch), gain), np.full(len(batch), angle))
        batches.append(to_uint8(lab_to_rgb(torch.cat((lab[:, :1], ab), dim=1))))
    return torch.cat(batches)


def is_increasing(values: list[float]) -> bool:
    """Tell whether each value is above the one before it."""
    return all(before < after for before, after in itertools.pairwise(values))


def _load_evaluators(
    others: Sequence[Path], device: torch.device
) -> tuple[dict[str, dict[str, Any]], dict[str, Cifar10Classifier]]:
    """Load the shipped evaluators and the others: what is known of them, and their networks."""
    cards = {name: evaluator_card(name) for name in SHIPPED}
    networks = {name: load_evaluator(name).to(device) for name in SHIPPED}
    for path in others:
        stem = path.stem.removeprefix("cifar10-")
        card = evaluator_card(stem, path.parent)
        name = f"{stem}, seed {card['config']['seed']}"
        cards[name], networks[name] = card, load_evaluator(stem, path.parent).to(device)
    return cards, networks


def _sets(
    options: ValidateOptions, images: Tensor, dataset: Dataset, accelerator: Accelerator
) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Yield the name of every set of images and what makes it."""
    for sweep, amounts in SWEEPS.items():
        for amount in amounts:
            yield f"{sweep} {amount:g}", functools.partial(alter_colors, images, sweep, amount)
    for row in reference_rows():
        if row.kind != "truth":
            yield row.name, functools.partial(row.make, images, dataset.train)
    for run in options.runs:
        yield run.resolve().name, functools.partial(_colored, run, images, accelerator, options.batch_size)


def _colored(run: Path, images: Tensor, accelerator: Accelerator, batch_size: int) -> Tensor:
    config, generator = load_run(run)
    colorize = colorize_with(generator.to(accelerator.device), color_space(config), accelerator, gray=lightness_input)
    return colorize_all(colorize, images, accelerator, batch_size=batch_size)


def _findings(distances: dict[str, float]) -> dict[str, Any]:
    """Say of an evaluator how far its distances grow with each sweep, and how it ranks the rows."""
    rows, sweeps = dict(distances), {}
    for sweep, amounts in SWEEPS.items():
        values = [rows.pop(f"{sweep} {amount:g}") for amount in amounts]
        sweeps[sweep] = {"amounts": amounts, "fd": values, "monotone": is_increasing(values)}
    return {"sweeps": sweeps, "rows": rows, "ranking": sorted(rows, key=rows.__getitem__)}
