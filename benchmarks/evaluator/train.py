"""The training behind `python -m benchmarks evaluator`."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from benchmarks.core.device import choose_device, settle
from benchmarks.evaluator.augment import ERROR_UNIT, color_error, cut_out, degrade, wrong_colors
from benchmarks.evaluator.options import EvaluatorOptions
from benchmarks.evaluator.recipe import fit_statistics, labeled_cifar10, optimize
from colornet.config import TrainConfig
from colornet.files import replacing, write_json
from colornet.metrics.evaluator import Cifar10Classifier
from colornet.runs.provenance import provenance


def train_evaluator(options: EvaluatorOptions) -> None:
    """Train on the training images and write the network, its accuracy and its origin to `options.out`."""
    device = choose_device(options.cpu)
    precision = settle(TrainConfig(mixed_precision=options.mixed_precision, cpu=options.cpu), device).mixed_precision
    dataset, labels = labeled_cifar10(options.data, options.cache_dir)
    torch.manual_seed(options.seed)
    network = Cifar10Classifier(options.widths)
    network.fit_whitening(dataset.train[::9])
    network.to(device).to(memory_format=torch.channels_last)
    started = time.perf_counter()
    _train(network, options, dataset.train.to(device), labels.train.to(device), bf16=precision == "bf16")
    seconds = time.perf_counter() - started
    fit_statistics(network, dataset.train.to(device))
    network.eval()
    network.fit_scales(dataset.train.to(device))
    scores = {
        part: accuracy(network, getattr(dataset, part).to(device), getattr(labels, part).to(device))
        for part in ("validation", "test")
    }
    print(", ".join(f"{part}: {value:.2%}" for part, value in scores.items()))
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    file = options.out / f"cifar10-{options.name}.safetensors"
    with replacing(file) as path:
        save_file(weights, path)
    record = {
        "name": f"cifar10-{options.name}",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "config": {key: value for key, value in dataclasses.asdict(options).items() if not isinstance(value, Path)},
        "precision": precision,
        "accuracy": scores,
        "seconds": seconds,
        "data": {"name": dataset.name, "training_images": len(dataset.train), "fingerprint": dataset.fingerprint},
        **provenance(device),
    }
    write_json(file.with_suffix(".json"), record)


def _train(
    network: Cifar10Classifier, options: EvaluatorOptions, images: Tensor, labels: Tensor, *, bf16: bool
) -> None:
    wrong = round(options.wrong * options.batch_size)

    def loss_of(batch: Tensor, classes: Tensor, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        shown = torch.cat((wrong_colors(batch[:wrong], batch[wrong:], rng), batch[wrong:]))
        errors = color_error(shown, batch)
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            class_logits, estimates = network(cut_out(degrade(shown, rng), options.cutout, rng))
        loss = F.cross_entropy(class_logits[wrong:].float(), classes[wrong:], label_smoothing=options.label_smoothing)
        loss = loss + F.smooth_l1_loss(estimates.float(), errors, beta=0.3)
        right = (class_logits[wrong:].argmax(1) == classes[wrong:]).float().mean()
        return loss, {"classes": right, "off": (estimates.float() - errors).abs().mean() * ERROR_UNIT}

    optimize(network, options, images, labels, loss_of)


@torch.no_grad()
def accuracy(network: Cifar10Classifier, images: Tensor, labels: Tensor, batch_size: int = 500) -> float:
    """Return the share of uint8 images (N, 3, H, W) whose class (N,) the network predicts, by its measured logits."""
    right = [
        (network.measure(batch)[1].argmax(1) == classes).sum().item()
        for batch, classes in zip(images.split(batch_size), labels.split(batch_size), strict=True)
    ]
    return sum(right) / len(images)
