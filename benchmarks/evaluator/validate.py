"""The study behind `python -m benchmarks validate`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from benchmarks.baselines.reference_rows import reference_rows, swap_colors
from benchmarks.core.record import Record, start_record
from benchmarks.evaluator.augment import adjust_chroma
from benchmarks.evaluator.measures import EVALUATOR, describe_measures, score_set
from benchmarks.evaluator.validate_options import ValidateOptions
from benchmarks.quality.scorer import FEWEST_IMAGES, part_of
from colornet.bar import Bar
from colornet.color import lab_to_rgb, lightness_input, rgb_to_lab, to_float, to_uint8
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError
from colornet.evaluation.loop import colorize_all, colorize_with, map_images
from colornet.evaluation.processes import connect
from colornet.metrics.distribution import frechet_distance
from colornet.metrics.evaluator import CIFAR10_CLASSES, SHIPPED, evaluator_card, load_evaluator
from colornet.metrics.image import image_metrics
from colornet.models.build import color_space
from colornet.runs.run import load_run

# Amounts of each change; the first leaves the images unchanged.
SWEEPS: dict[str, tuple[float, ...]] = {
    "less chroma": (1, 0.9, 0.75, 0.5, 0.25, 0),
    "more chroma": (1, 1.1, 1.25, 1.5, 2),
    "hue": (0, 10, 30, 60, 90, 135, 180),
    "swapped": (0, 0.1, 0.25, 0.5, 0.75, 1),
}


def measure(options: ValidateOptions) -> Record:
    """Measure every altered set and every row by every evaluator and the other headline measures; return the record."""
    accelerator = connect(cpu=options.cpu)
    dataset = load_dataset(options.data, image_size=32, cache_dir=options.cache_dir, progress=True)
    images, labels, names = part_of(dataset, "validation")
    labels = labels if names == CIFAR10_CLASSES else None
    if options.images is not None:
        chosen = torch.linspace(0, len(images) - 1, min(options.images, len(images))).long()
        images, labels = images[chosen], None if labels is None else labels[chosen]
    if len(images) < FEWEST_IMAGES:
        raise InputError(f"{dataset.name} has {len(images)} validation images: at least {FEWEST_IMAGES} are needed.")
    files: dict[str, tuple[Any, ...]] = {name: (name,) for name in SHIPPED}  # what an evaluator is loaded by
    for path in options.evaluators:
        stem = path.stem.removeprefix("cifar10-")
        files[f"{stem}, seed {evaluator_card(stem, path.parent)['config']['seed']}"] = stem, path.parent
    networks = {name: load_evaluator(*file).to(accelerator.device) for name, file in files.items()}

    def extract(pairs: Tensor) -> dict[str, Tensor]:
        output, truth = pairs.chunk(2, dim=1)  # (n, 3, H, W) each
        found = {name: network.features(output) for name, network in networks.items() if name != EVALUATOR}
        found[EVALUATOR], logits = networks[EVALUATOR].measure(output)
        return {**found, "class": logits.argmax(1), **image_metrics(output, truth)}

    def measured(pixels: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        pairs = torch.cat((pixels.cpu(), images), dim=1)  # (N, 6, H, W)
        found = map_images(extract, pairs, accelerator, batch_size=options.batch_size)
        return {name: found.pop(name).double() for name in networks}, found

    truth, _ = measured(images)
    distances: dict[str, dict[str, float]] = {name: {} for name in networks}
    scores: dict[str, dict[str, float]] = {}
    unpaired = {row.name for row in reference_rows() if not row.paired}
    for name, make in Bar([*_sets(options, images, dataset, accelerator)], unit="set"):
        features, per_image = measured(make())
        for evaluator, found in features.items():
            distances[evaluator][name] = frechet_distance(found, truth[evaluator])
        paired = name not in unpaired
        scores[name] = score_set(per_image, features[EVALUATOR], truth[EVALUATOR], labels, paired=paired)
    data = {"name": dataset.name, "split": "validation", "images": len(images), "fingerprint": dataset.fingerprint}
    evaluators = {name: {"card": evaluator_card(*file), **_findings(distances[name])} for name, file in files.items()}
    return {
        **start_record("evaluator-validation", accelerator.device, options),
        "data": data,
        "evaluators": evaluators,
        "measures": describe_measures(
            scores,
            SWEEPS,
            [row.name for row in reference_rows() if row.kind == "sanity_check"],
            [path.resolve().name for path in options.runs],
        ),
    }


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
    for path in options.runs:
        config, generator = load_run(path)
        color = colorize_with(generator.to(accelerator.device), color_space(config), accelerator, gray=lightness_input)
        make = functools.partial(colorize_all, color, images, accelerator, batch_size=options.batch_size)
        yield path.resolve().name, make


def alter_colors(images: Tensor, sweep: str, amount: float) -> Tensor:
    """Return uint8 images (N, 3, H, W) with their colors changed: a point of one of the `SWEEPS`."""
    if sweep == "swapped":
        # The images that get another's colors come first in a fixed random order: a larger share contains a smaller.
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[: round(amount * len(images))]
        result = images.clone()
        result[chosen] = swap_colors(images, images)[chosen]
        return result
    gain, angle = (1.0, np.radians(amount)) if sweep == "hue" else (amount, 0.0)
    batches = []
    for batch in images.split(500):
        lightness, ab = rgb_to_lab(to_float(batch)).split((1, 2), dim=1)  # (n, 1, H, W), (n, 2, H, W)
        ab = adjust_chroma(ab, np.full(len(batch), gain), np.full(len(batch), angle))
        batches.append(to_uint8(lab_to_rgb(torch.cat((lightness, ab), dim=1))))
    return torch.cat(batches)


def is_increasing(values: list[float]) -> bool:
    """Tell whether each value is above the one before it."""
    return all(before < after for before, after in itertools.pairwise(values))


def _findings(distances: dict[str, float]) -> dict[str, Any]:
    """Describe how an evaluator's distances grow with each sweep, and how it ranks the rows."""
    rows, sweeps = dict(distances), {}
    for sweep, amounts in SWEEPS.items():
        values = [rows.pop(f"{sweep} {amount:g}") for amount in amounts]
        sweeps[sweep] = {"amounts": amounts, "fd": values, "monotone": is_increasing(values)}
    return {"sweeps": sweeps, "rows": rows, "ranking": sorted(rows, key=rows.__getitem__)}
