"""The training recipe of `benchmarks evaluator` for classifiers of CIFAR-10, with any loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD

from benchmarks.core.steps import choose_device, settle
from benchmarks.evaluator.ceiling_options import CeilingOptions
from benchmarks.evaluator.options import SIZE, EvaluatorOptions
from colornet.bar import Bar
from colornet.config import TrainConfig
from colornet.data import Dataset, load_dataset
from colornet.data.loader import random_flip, random_shift
from colornet.data.splits import Labels
from colornet.errors import InputError
from colornet.metrics.evaluator import CIFAR10_CLASSES

BATCH = 500  # images in a step without gradients
SHIFT_LR = 64  # learning rate of normalization's shifts, relative to the weights'
AVERAGE_EVERY = 5  # steps

LossOf = Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, dict[str, Tensor]]]
"""From uint8 images (B, 3, H, W), their classes (B,) and a generator to the loss, and numbers for the progress bar."""


def prepare(options: EvaluatorOptions | CeilingOptions) -> tuple[torch.device, str, Dataset, Labels]:
    """Choose device and precision, load the images with their classes, and seed torch.

    Raises `InputError` unless the classes are the ten of CIFAR-10.
    """
    device = choose_device(options.cpu)
    precision = settle(TrainConfig(mixed_precision=options.mixed_precision, cpu=options.cpu), device).mixed_precision
    dataset = load_dataset(options.data, image_size=SIZE, cache_dir=options.cache_dir, progress=True)
    if dataset.labels is None or dataset.labels.classes != CIFAR10_CLASSES:
        raise InputError(f"--data {options.data} is not sorted into the ten classes of CIFAR-10: give a copy of it.")
    torch.manual_seed(options.seed)
    return device, precision, dataset, dataset.labels


def optimize(network: nn.Module, options: EvaluatorOptions, images: Tensor, labels: Tensor, loss_of: LossOf) -> None:
    """Train a network by the evaluator's recipe on uint8 images (N, 3, H, W) and their classes (N,)."""
    steps = math.ceil(options.epochs * len(images) / options.batch_size)
    groups = []
    for is_shift, relative_lr in ((False, 1), (True, SHIFT_LR)):
        parameters = [p for name, p in network.named_parameters() if p.requires_grad and ("norm" in name) is is_shift]
        # Shifts learn much faster, and decay as slowly as the rest.
        decay = options.weight_decay / relative_lr
        groups.append({"params": parameters, "weight_decay": decay, "peak": options.lr * relative_lr})
    optimizer = SGD(groups, lr=options.lr, momentum=0.85, nesterov=True)
    average = {name: value.clone() for name, value in network.state_dict().items() if value.is_floating_point()}
    rng = np.random.default_rng(options.seed)
    bar = Bar(total=steps * options.batch_size, unit="img", unit_scale=True, desc=options.out.name)
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
    """Move the average of the weights toward the network, and the network there (Zhang et al. 2019)."""
    for name, value in network.state_dict().items():
        if name in average:
            value.copy_(average[name].lerp_(value, 1 - decay))


@torch.no_grad()
def fit_statistics(network: nn.Module, images: Tensor, seed: int) -> None:
    """Set normalization's statistics to those of unaltered uint8 images (N, 3, H, W), and end the training.

    They are means over batches, so the images are shuffled by `seed`: data sets are sorted by class, and the variance
    within batches of one class is too small.
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    network.train()
    for chosen in order.to(images.device).split(BATCH):
        network(images[chosen])
    network.eval()


def _batches(
    images: Tensor, labels: Tensor, options: EvaluatorOptions, rng: np.random.Generator, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield shuffled and shifted images (B, 3, H, W) with their classes (B,), mirrored in every other epoch."""
    size = options.batch_size
    mirrored = rng.random(len(images)) < 0.5  # alternating learns faster than a new draw every epoch (Jordan 2024)
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
