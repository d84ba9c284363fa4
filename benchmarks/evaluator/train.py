"""The training behind `python -m benchmarks evaluator`."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from benchmarks.evaluator.augment import ERROR_UNIT, color_error, cut_out, degrade, wrong_colors
from benchmarks.evaluator.options import EvaluatorOptions
from benchmarks.evaluator.recipe import BATCH, LossOf, fit_statistics, optimize, prepare
from colornet.errors import InputError
from colornet.files import replacing, write_json
from colornet.metrics.evaluator import Cifar10Classifier, evaluator_card, load_evaluator
from colornet.metrics.precision import full_precision
from colornet.runs.provenance import provenance


def train_evaluator(options: EvaluatorOptions) -> None:
    """Train (or refit) on the training images and write the network, its accuracy and its origin to `options.out`."""
    device, precision, dataset, labels = prepare(options)
    images = dataset.train.to(device)
    data = {"name": dataset.name, "training_images": len(dataset.train), "fingerprint": dataset.fingerprint}
    config = {key: value for key, value in dataclasses.asdict(options).items() if not isinstance(value, Path)}
    if options.refit is None:
        network = Cifar10Classifier(options.widths)
        network.fit_whitening(dataset.train[::9])
        network.to(device).to(memory_format=torch.channels_last)
        started = time.perf_counter()
        bf16 = precision == "bf16"
        optimize(network, options, images, labels.train.to(device), _loss_of(network, options, bf16=bf16))
        training = {"config": config, "precision": precision, "seconds": time.perf_counter() - started}
    else:
        network, training = _trained(options.refit, data)
        network.to(device)
    with full_precision(device):  # as it will measure
        fit_statistics(network, images, options.seed)
        network.fit_scales(images)
        scores = {
            part: accuracy(network, getattr(dataset, part).to(device), getattr(labels, part).to(device))
            for part in ("validation", "test")
        }
    print(", ".join(f"{part}: {value:.2%}" for part, value in scores.items()))
    file = options.out / f"cifar10-{options.name}.safetensors"
    with replacing(file) as path:
        save_file({name: value.cpu().contiguous() for name, value in network.state_dict().items()}, path)
    record = {
        "name": f"cifar10-{options.name}",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        **training,
        "accuracy": scores,
        "data": data,
        **provenance(device),
    }
    write_json(file.with_suffix(".json"), record)


def _trained(path: Path, data: dict[str, Any]) -> tuple[Cifar10Classifier, dict[str, Any]]:
    """Load an evaluator by its card, and what the card says of its training; `InputError` for another's images."""
    name = path.stem.removeprefix("cifar10-")
    card = evaluator_card(name, path.parent)
    if card["data"]["fingerprint"] != data["fingerprint"]:
        raise InputError(f"{path} was trained on other images than --data: give the same ones.")
    about = {key: card[key] for key in ("config", "precision", "seconds")}
    origin = {key: card[key] for key in ("name", "sha256", "command", "commit", "date", "device", "versions")}
    return load_evaluator(name, path.parent), {**about, "refit": origin}


def _loss_of(network: Cifar10Classifier, options: EvaluatorOptions, *, bf16: bool) -> LossOf:
    wrong = round(options.wrong * options.batch_size)

    def loss_of(batch: Tensor, classes: Tensor, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        shown = torch.cat((wrong_colors(batch[:wrong], batch[wrong:], rng), batch[wrong:]))
        errors = color_error(shown, batch)
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            logits, estimates = network(cut_out(degrade(shown, rng), options.cutout, rng))
        logits, estimates, classes = logits[wrong:].float(), estimates.float(), classes[wrong:]
        loss = F.cross_entropy(logits, classes, label_smoothing=options.label_smoothing)
        loss = loss + F.smooth_l1_loss(estimates, errors, beta=0.3)
        right = (logits.argmax(1) == classes).float().mean()
        return loss, {"classes": right, "off": (estimates - errors).abs().mean() * ERROR_UNIT}

    return loss_of


@torch.no_grad()
def accuracy(network: Cifar10Classifier, images: Tensor, labels: Tensor, batch_size: int = BATCH) -> float:
    """Return the share of uint8 images (N, 3, H, W) whose class (N,) the network predicts, by its measured logits."""
    predicted = torch.cat([network.measure(batch)[1].argmax(1) for batch in images.split(batch_size)])
    return (predicted == labels).sum().item() / len(images)
