"""The training and the predictions behind `python -m benchmarks ceiling`."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.core.record import Record
from benchmarks.evaluator.ceiling_options import CeilingOptions
from benchmarks.evaluator.options import EvaluatorOptions
from benchmarks.evaluator.recipe import BATCH, fit_statistics, optimize, prepare
from colornet.evaluation.loop import gray_floor
from colornet.metrics.evaluator import Cifar10Classifier
from colornet.metrics.image import colorfulness
from colornet.models.unet import count_parameters
from colornet.runs.provenance import provenance


class ColorfulnessRegressor(nn.Module):
    """Predict, from the lightness of uint8 images (N, 3, H, W) alone, their class and how colorful they are.

    Args:
        widths: channels of the three groups of convolutions of its `Cifar10Classifier`.
        images: what the first layer whitens, uint8 (M, 3, H, W).
        mean, std: of the training images' colorfulness, by which the network normalizes it.
    """

    def __init__(self, widths: tuple[int, int, int], images: Tensor, mean: float, std: float) -> None:
        super().__init__()
        self.body = Cifar10Classifier(widths)
        self.body.fit_whitening(gray_floor(images))
        self.colorfulness = nn.Linear(widths[-1], 1)
        self.mean, self.std = mean, std

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of the classes (N, 10) and the colorfulness (N,)."""
        pooled = self.body.pool(self.body.levels(gray_floor(images))[-1])  # (N, widths[2])
        return self.body.classes(pooled), self.mean + self.std * self.colorfulness(pooled).float().squeeze(1)


def measure(options: CeilingOptions) -> Record:
    """Train on the training images, predict for the others, and return the record of the errors."""
    device, precision, dataset, labels = prepare(options)
    images = dataset.train.to(device)
    true = torch.cat([colorfulness(batch) for batch in dataset.train.split(BATCH)])  # float64 (N,)
    network = ColorfulnessRegressor(options.widths, dataset.train[::9], true.mean().item(), true.std().item())
    network.to(device).to(memory_format=torch.channels_last)
    shared = {name: getattr(options, name) for name in ("out", "epochs", "batch_size", "lr", "seed")}
    recipe = EvaluatorOptions(**shared)
    loss_of = functools.partial(_loss, network, recipe.label_smoothing, precision == "bf16")
    optimize(network, recipe, images, labels.train.to(device), loss_of)
    fit_statistics(network, images, options.seed)
    values = {key: value for key, value in dataclasses.asdict(options).items() if not isinstance(value, Path)}
    return {
        "kind": "ceiling",
        **provenance(device),
        "config": {**values, "data": dataset.name},
        "precision": precision,
        "parameters": count_parameters(network),
        "data": {"name": dataset.name, "training_images": len(dataset.train), "fingerprint": dataset.fingerprint},
        "splits": {
            part: _errors(network, getattr(dataset, part).to(device), getattr(labels, part).to(device), true.median())
            for part in ("validation", "test")
        },
        "notes": "delta_cf_image: mean |ΔCF|, of the network and of the training images' median for all; accuracy: of "
        "the classes that it names. Logits and colorfulness are means of those of an image and its mirror image.",
    }


def _loss(
    network: ColorfulnessRegressor, smoothing: float, bf16: bool, batch: Tensor, classes: Tensor, _: np.random.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
        logits, predicted = network(batch)
    off = (predicted - colorfulness(batch).float()).abs().mean()  # its minimum is the median, that of |ΔCF|
    loss = F.cross_entropy(logits.float(), classes, label_smoothing=smoothing) + off / network.std
    return loss, {"classes": (logits.argmax(1) == classes).float().mean(), "off": off}


@torch.no_grad()
def _errors(network: ColorfulnessRegressor, images: Tensor, labels: Tensor, median: Tensor) -> dict[str, float]:
    parts = []
    for batch, classes in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        (logits, predicted), (mirrored, of_mirrored) = network(batch), network(batch.flip(3))
        true = colorfulness(batch)  # float64 (n,)
        off, off_median = (predicted + of_mirrored) / 2 - true, median.to(true) - true
        parts.append(torch.stack((off.abs(), off_median.abs(), (logits + mirrored).argmax(1) == classes)))  # (3, n)
    means = [values.mean().item() for values in torch.cat(parts, dim=1)]
    return dict(zip(("delta_cf_image", "delta_cf_image_median", "accuracy"), means, strict=True))
