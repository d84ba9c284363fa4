"""The training recipe of `benchmarks evaluator` for classifiers of CIFAR-10, with any loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD
from tqdm import tqdm

from benchmarks.evaluator.options import EvaluatorOptions
from colornet.data import Dataset, load_dataset
from colornet.data.loader import random_flip, random_shift
from colornet.data.splits import Labels
from colornet.errors import InputError
from colornet.metrics.evaluator import CIFAR10_CLASSES

SHIFT_LR = 64  # learning rate of normalization's shifts, relative to the weights'
AVERAGE_EVERY = 5  # steps

LossOf = Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, dict[str, Tensor]]]
"""From uint8 images (B, 3, H, W), their classes (B,) and a generator to the loss, and numbers for the progress bar."""


def labeled_cifar10(data: str, cache_dir: Path | None) -> tuple[Dataset, Labels]:
    """Load the images of `--data` with their classes; raise `InputError` unless those are the ten of CIFAR-10."""
    dataset = load_dataset(data, image_size=32, cache_dir=cache_dir, progress=True)
    if dataset.labels is None or dataset.labels.classes != CIFAR10_CLASSES:
        raise InputError(f"--data {data} is not sorted into the ten classes of CIFAR-10: give a copy of it.")
    return dataset, dataset.labels


def optimize(network: nn.Module, options: EvaluatorOptions, images: Tensor, labels: Tensor, loss_of: LossOf) -> None:
    """Train a network by the evaluator's recipe on uint8 images (N, 3, H, W) and their classes (N,)."""
    steps = math.ceil(options.epochs * len(images) / options.batch_size)
    shifts: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (shifts if "norm" in name else others).append(parameter)
    groups = [
        {"params": others, "weight_decay": options.weight_decay, "peak": options.lr},
        # Shifts learn much faster, and decay as slowly as the rest.
        {"params": shifts, "weight_decay": options.weight_decay / SHIFT_LR, "peak": options.lr * SHIFT_LR},
    ]
    optimizer = SGD(groups, lr=options.lr, momentum=0.85, nesterov=True)
    average = {name: value.clone() for name, value in network.state_dict().items() if value.is_floating_point()}
    rng = np.random.default_rng(options.seed)
    bar = tqdm(total=steps * options.batch_size, unit="img", unit_scale=True, desc=options.out.name, disable=None)
    for step, (batch, classes) in enumerate(_batches(images, labels, options, rng, steps)):
        # A triangle whose peak comes after a fifth of the steps.
        factor = min((step + 1) / (0.2 * steps), (steps - step) / (0.8 * steps))
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        loss, shown = loss_of(batch, classes, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % AVERAGE_EVERY == 0 or step + 1 == steps:
            _look_ahead(network, average, decay=0.95**AVERAGE_EVERY * (step / steps) ** 3)
        bar.update(options.batch_size)
        if step % 50 == 0:
            bar.set_postfix({name: f"{value.item():.2f}" for name, value in {"loss": loss, **shown}.items()})
    bar.close()


@torch.no_grad()
def _look_ahead(network: nn.Module, average: dict[str, Tensor], decay: float) -> None:
    """Move the average of the weights towards the network, and the network there (Zhang et al. 2019)."""
    for name, value in network.state_dict().items():
        if name in average:
            value.copy_(average[name].lerp_(value, 1 - decay))


@torch.no_grad()
def fit_statistics(network: nn.Module, images: Tensor, batch_size: int = 500) -> None:
    """Set normalization's statistics to those of uint8 images (N, 3, H, W) as they are, unaltered."""
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    network.train()
    for batch in images.split(batch_size):
        network(batch)


def _batches(
    images: Tensor, labels: Tensor, options: EvaluatorOptions, rng: np.random.Generator, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield shuffled, flipped and shifted images (B, 3, H, W) with their classes (B,), epoch after epoch.

    An image is mirrored in every other epoch, which learns faster than chance (Jordan 2024).
    """
    size = options.batch_size
    mirrored = rng.random(len(images)) < 0.5
    order, flags = np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
    for _ in range(steps):
        while len(order) < size:
            epoch = rng.permutation(len(images))
            order, flags = np.concatenate((order, epoch)), np.concatenate((flags, mirrored[epoch]))
            mirrored = ~mirrored
        chosen, flipped = (torch.from_numpy(part[:size]).to(images.device) for part in (order, flags))
        order, flags = order[size:], flags[size:]
        offsets = torch.from_numpy(rng.integers(-options.shift, options.shift, (size, 2), endpoint=True))
        yield random_shift(random_flip(images[chosen], flipped), offsets.to(images.device)), labels[chosen]
