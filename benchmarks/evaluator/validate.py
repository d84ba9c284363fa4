"""The study behind `python -m benchmarks validate`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from accelerate import Accelerator
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from benchmarks.baselines.reference_rows import reference_rows
from benchmarks.evaluator.train import adjust_chroma
from benchmarks.evaluator.validate_options import ValidateOptions
from colornet.color import lab_to_rgb, lightness_input, rgb_to_lab, to_float, to_uint8
from colornet.data import Dataset, load_dataset
from colornet.evaluation.loop import colorize_all, colorize_with, map_images
from colornet.files import replacing
from colornet.metrics.distribution import frechet_distance
from colornet.metrics.evaluator import Cifar10Classifier
from colornet.metrics.features import SHIPPED, evaluator_card, load_evaluator
from colornet.models.build import color_space
from colornet.runs.provenance import provenance, write_json
from colornet.runs.run import load_run

__all__ = ["monotone", "spoiled", "validate"]

# What is turned up, and how far; each begins with the images as they are.
SWEEPS: dict[str, tuple[float, ...]] = {
    "less chroma": (1, 0.9, 0.75, 0.5, 0.25, 0),
    "more chroma": (1, 1.1, 1.25, 1.5, 2),
    "hue": (0, 10, 30, 60, 90, 135, 180),
    "swapped": (0, 0.1, 0.25, 0.5, 0.75, 1),
}
AXES = {
    "less chroma": "gain of a*b*",
    "more chroma": "gain of a*b*",
    "hue": "rotation of hue, degrees",
    "swapped": "share of images with another's a*b*",
}


def validate(config: ValidateOptions) -> None:
    """Measure every evaluator on every spoiled set and every row; write the numbers and their picture."""
    matplotlib.use("Agg")
    accelerator = Accelerator(mixed_precision="no", cpu=config.cpu)
    device = accelerator.device
    dataset = load_dataset(config.data, image_size=32, cache_dir=config.cache_dir, progress=True)
    images = dataset.validation
    if config.images is not None:
        images = images[torch.linspace(0, len(images) - 1, min(config.images, len(images))).long()]
    evaluators = {name: network.to(device) for name, (network, _) in _evaluators(config).items()}

    def features(pixels: Tensor) -> dict[str, Tensor]:
        def measure(batch: Tensor) -> dict[str, Tensor]:
            return {name: network.features(batch) for name, network in evaluators.items()}

        return map_images(measure, pixels, accelerator, batch_size=config.batch_size)

    truth = features(images)
    distances: dict[str, dict[str, float]] = {name: {} for name in evaluators}
    sets = list(_sets(config, images, dataset, accelerator))
    for name, make in tqdm(sets, unit="set", disable=None):
        found = features(make())
        for evaluator in evaluators:
            distances[evaluator][name] = frechet_distance(found[evaluator].double(), truth[evaluator].double())
    record = {
        "kind": "evaluator-validation",
        **provenance(device),
        "data": {
            "name": dataset.name,
            "split": "validation",
            "images": len(images),
            "fingerprint": dataset.fingerprint,
        },
        "evaluators": {
            name: {"card": card, **_findings(distances[name])} for name, (_, card) in _evaluators(config).items()
        },
    }
    write_json(config.out / "validation.json", record)
    with replacing(config.out / "validation.png") as path:
        _plot(distances).savefig(path, format="png", dpi=120)
    print(_table(distances))
    print(f"\nWritten to {config.out}: validation.json, validation.png")


def spoiled(images: Tensor, sweep: str, amount: float) -> Tensor:
    """Return uint8 images (N, 3, H, W) with their colors spoiled: a point of one of the `SWEEPS`."""
    if sweep == "swapped":
        # The images that get another's colors come first in a fixed random order: a larger share contains a smaller.
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[: round(amount * len(images))]
        swap = next(row for row in reference_rows() if row.name == "nonsense, another's ab").make
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


def monotone(values: list[float]) -> bool:
    """Tell whether each value is above the one before it."""
    return all(before < after for before, after in itertools.pairwise(values))


def _evaluators(config: ValidateOptions) -> dict[str, tuple[Cifar10Classifier, dict[str, Any]]]:
    """Load the shipped evaluators and those that were named: networks and what is known of them."""
    found = {name: (load_evaluator(name), evaluator_card(name)) for name in SHIPPED}
    for path in config.evaluators:
        name = path.stem.removeprefix("cifar10-")
        card = evaluator_card(name, path.parent)
        found[f"{name}, seed {card['config']['seed']}"] = (load_evaluator(name, path.parent), card)
    return found


def _sets(
    config: ValidateOptions, images: Tensor, dataset: Dataset, accelerator: Accelerator
) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Yield the name of every set of images and what makes it."""
    for sweep, amounts in SWEEPS.items():
        for amount in amounts:
            yield f"{sweep} {amount:g}", functools.partial(spoiled, images, sweep, amount)
    for row in reference_rows():
        if row.kind != "truth":
            yield row.name, functools.partial(row.make, images, dataset.train)
    for run in config.runs:
        yield run.resolve().name, functools.partial(_colored, run, images, accelerator, config.batch_size)


def _colored(run: Path, images: Tensor, accelerator: Accelerator, batch_size: int) -> Tensor:
    run_config, generator = load_run(run)
    colorize = colorize_with(
        generator.to(accelerator.device), color_space(run_config), accelerator, gray=lightness_input
    )
    return colorize_all(colorize, images, accelerator, batch_size=batch_size)


def _findings(distances: dict[str, float]) -> dict[str, Any]:
    """Say of an evaluator how far its distances grow with each sweep, and how it ranks the rows."""
    sweeps = {}
    for sweep, amounts in SWEEPS.items():
        values = [distances[f"{sweep} {amount:g}"] for amount in amounts]
        sweeps[sweep] = {"amounts": amounts, "fd": values, "monotone": monotone(values)}
    points = {f"{sweep} {amount:g}" for sweep, amounts in SWEEPS.items() for amount in amounts}
    rows = {name: value for name, value in distances.items() if name not in points}
    return {"sweeps": sweeps, "rows": rows, "ranking": sorted(rows, key=rows.__getitem__)}


def _table(distances: dict[str, dict[str, float]]) -> str:
    """Lay out the distances of all sets as a table in Markdown that reads as plain text."""
    names = list(next(iter(distances.values())))
    width = max(map(len, names))
    widths = [max(8, len(evaluator)) for evaluator in distances]
    lines = [
        f"| {' ' * width} | " + " | ".join(e.rjust(w) for e, w in zip(distances, widths, strict=True)) + " |",
        f"| {'-' * width} | " + " | ".join("-" * (w - 1) + ":" for w in widths) + " |",
    ]
    for name in names:
        values = (f"{found[name]:.3f}".rjust(w) for found, w in zip(distances.values(), widths, strict=True))
        lines.append(f"| {name.ljust(width)} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def _plot(distances: dict[str, dict[str, float]]) -> Figure:
    """Draw each sweep: the share of the gray image's distance against the amount, a line an evaluator."""
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    for axes, (sweep, amounts) in zip(figure.subplots(1, len(SWEEPS), sharey=True), SWEEPS.items(), strict=True):
        for evaluator, found in distances.items():
            values = [found[f"{sweep} {amount:g}"] / found["gray"] for amount in amounts]
            axes.plot(amounts, values, marker="o", markersize=4, label=evaluator)
        axes.axhline(1, color="gray", linewidth=1, linestyle=":")
        axes.set(title=sweep, xlabel=AXES[sweep])
        axes.spines[["top", "right"]].set_visible(False)
        if amounts[0] > amounts[-1]:
            axes.invert_xaxis()
    figure.axes[0].set_ylabel("FD / FD of gray")
    figure.axes[0].legend(frameon=False)
    return figure
