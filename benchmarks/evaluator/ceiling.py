"""The training and the predictions behind `python -m benchmarks ceiling`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.core.device import choose_device, settle
from benchmarks.core.record import Record
from benchmarks.evaluator.ceiling_options import CeilingOptions
from benchmarks.evaluator.options import EvaluatorOptions
from benchmarks.evaluator.recipe import fit_statistics, labeled_cifar10, optimize
from colornet.config import TrainConfig
from colornet.evaluation.loop import gray_floor
from colornet.metrics.evaluator import Cifar10Classifier
from colornet.metrics.image import colorfulness
from colornet.models.unet import count_parameters
from colornet.runs.provenance import provenance

BATCH = 500  # images in a step without gradients
NOTES = (
    "delta_cf_image: mean |ΔCF|, of the network and of the training images' median for all; accuracy: of the classes "
    "that it names. Logits and colorfulness are means of those of an image and its mirror image."
)


class ColorfulnessRegressor(nn.Module):
    """Predict, from the lightness of uint8 images (N, 3, H, W) alone, their class and how colorful they are.

    Args:
        widths: channels of the three groups of convolutions of its `Cifar10Classifier`.
        images: what the first layer whitens, uint8 (M, 3, H, W).
        mean, std: of the training images' colorfulness, in whose terms the network learns.
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
    device = choose_device(options.cpu)
    precision = settle(TrainConfig(mixed_precision=options.mixed_precision, cpu=options.cpu), device).mixed_precision
    dataset, labels = labeled_cifar10(options.data, options.cache_dir)
    true = torch.cat([colorfulness(batch) for batch in dataset.train.split(BATCH)])  # float64 (N,)
    torch.manual_seed(options.seed)
    network = ColorfulnessRegressor(options.widths, dataset.train[::9], true.mean().item(), true.std().item())
    network.to(device).to(memory_format=torch.channels_last)
    _train(network, options, dataset.train.to(device), labels.train.to(device), bf16=precision == "bf16")
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
        "notes": NOTES,
    }


def _train(
    network: ColorfulnessRegressor, options: CeilingOptions, images: Tensor, labels: Tensor, *, bf16: bool
) -> None:
    recipe = EvaluatorOptions(
        out=options.out, epochs=options.epochs, batch_size=options.batch_size, lr=options.lr, seed=options.seed
    )

    def loss_of(batch: Tensor, classes: Tensor, _: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            logits, predicted = network(batch)
        off = (predicted - colorfulness(batch).float()).abs().mean()  # its minimum is the median, that of |ΔCF|
        loss = F.cross_entropy(logits.float(), classes, label_smoothing=recipe.label_smoothing) + off / network.std
        return loss, {"classes": (logits.argmax(1) == classes).float().mean(), "off": off}

    optimize(network, recipe, images, labels, loss_of)
    fit_statistics(network, images)
    network.eval()


@torch.no_grad()
def _errors(network: ColorfulnessRegressor, images: Tensor, labels: Tensor, median: Tensor) -> dict[str, float]:
    right, off, off_median = [], [], []
    for batch, classes in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        (logits, predicted), (mirrored, of_mirrored) = network(batch), network(batch.flip(3))
        true = colorfulness(batch)
        right.append(((logits + mirrored).argmax(1) == classes).double())
        off.append(((predicted + of_mirrored) / 2 - true).abs())
        off_median.append((median.to(true) - true).abs())
    return {
        "delta_cf_image": torch.cat(off).mean().item(),
        "delta_cf_image_median": torch.cat(off_median).mean().item(),
        "accuracy": torch.cat(right).mean().item(),
    }
