"""The training and the answers behind `python -m benchmarks ceiling`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.evaluator.ceiling_options import CeilingOptions
from benchmarks.evaluator.options import EvaluatorOptions
from benchmarks.evaluator.recipe import fit_statistics, labeled_cifar10, optimize
from colornet.config import TrainConfig
from colornet.evaluation.loop import gray_floor
from colornet.metrics.evaluator import Cifar10Classifier
from colornet.metrics.image import colorfulness
from colornet.models.unet import count_parameters
from colornet.runs.provenance import provenance, write_json
from colornet.training.accelerator import choose_precision

__all__ = ["GrayReader", "study"]

BATCH = 500  # images in a step without gradients


class GrayReader(nn.Module):
    """Say of uint8 images (N, 3, H, W), by their lightness alone, which class they show and how colorful they are.

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


def study(config: CeilingOptions) -> None:
    """Train on the training images, ask about the others, print the answers' errors and write them to `config.out`."""
    precision = choose_precision(TrainConfig(mixed_precision=config.mixed_precision, cpu=config.cpu))
    device = torch.device("cuda" if torch.cuda.is_available() and not config.cpu else "cpu")
    dataset, labels = labeled_cifar10(config.data, config.cache_dir)
    true = torch.cat([colorfulness(batch) for batch in dataset.train.split(BATCH)])  # float64 (N,)
    torch.manual_seed(config.seed)
    network = GrayReader(config.widths, dataset.train[::9], true.mean().item(), true.std().item())
    network.to(device).to(memory_format=torch.channels_last)
    _train(network, config, dataset.train.to(device), labels.train.to(device), bf16=precision == "bf16")
    record: dict[str, Any] = {
        "kind": "ceiling",
        **provenance(device),
        "config": {key: value for key, value in dataclasses.asdict(config).items() if not isinstance(value, Path)}
        | {"data": dataset.name},
        "precision": precision,
        "parameters": count_parameters(network),
        "data": {"name": dataset.name, "training_images": len(dataset.train), "fingerprint": dataset.fingerprint},
        "splits": {
            part: _errors(network, getattr(dataset, part).to(device), getattr(labels, part).to(device), true.median())
            for part in ("validation", "test")
        },
        "notes": "delta_cf_image: mean |ΔCF|, of the network and of the training images' median for all; accuracy: "
        "of the classes that it names. Logits and colorfulness are means of those of an image and its mirror image.",
    }
    write_json(config.out, record)
    for part, errors in record["splits"].items():
        off, median = errors["delta_cf_image"], errors["delta_cf_image_median"]
        print(f"{part}: |ΔCF| {off:.2f}, of one number for all {median:.2f}; classes {errors['accuracy']:.1%}")
    print(f"Written to {config.out}.")


def _train(network: GrayReader, config: CeilingOptions, images: Tensor, labels: Tensor, *, bf16: bool) -> None:
    recipe = EvaluatorOptions(
        out=config.out, epochs=config.epochs, batch_size=config.batch_size, lr=config.lr, seed=config.seed
    )

    def loss_of(batch: Tensor, classes: Tensor, _: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            logits, answers = network(batch)
        off = (answers - colorfulness(batch).float()).abs().mean()  # its minimum is the median, that of |ΔCF|
        loss = F.cross_entropy(logits.float(), classes, label_smoothing=recipe.label_smoothing) + off / network.std
        return loss, {"classes": (logits.argmax(1) == classes).float().mean(), "off": off}

    optimize(network, recipe, images, labels, loss_of)
    fit_statistics(network, images)
    network.eval()


@torch.no_grad()
def _errors(network: GrayReader, images: Tensor, labels: Tensor, median: Tensor) -> dict[str, float]:
    right, off, off_median = [], [], []
    for batch, classes in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        (logits, answers), (mirrored, other_answers) = network(batch), network(batch.flip(3))
        true = colorfulness(batch)
        right.append(((logits + mirrored).argmax(1) == classes).double())
        off.append(((answers + other_answers) / 2 - true).abs())
        off_median.append((median.to(true) - true).abs())
    return {
        "delta_cf_image": torch.cat(off).mean().item(),
        "delta_cf_image_median": torch.cat(off_median).mean().item(),
        "accuracy": torch.cat(right).mean().item(),
    }
