"""The learning rate of a step, one optimizer step, and the moving average."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from colornet.config import TrainConfig


def learning_rate_factor(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Return the factor on the learning rates at a step, counted from 0; it has no state that a resumed run needs."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.lr_schedule == "cosine":
        return warmup * 0.5 * (1 + math.cos(math.pi * step / (config.epochs * steps_per_epoch)))
    if config.lr_schedule == "exponential":
        return warmup * config.lr_decay ** (step // steps_per_epoch)
    return warmup


def ema_weight(decay: float, step: int) -> float:
    """Return the share that the moving average takes from the network after so many updates.

    The decay warms up as (1 + step) / (10 + step), as in TensorFlow: a short run would be mostly its initial weights.
    """
    return 1 - min(decay, (1 + step) / (10 + step))


def update_ema(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average one step toward the network and copy its buffers; `step` counts the updates from 1."""
    move_average(average, network, ema_weight(decay, step))


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, weight: float | Tensor) -> None:
    """Move the average toward the network by a share, a number or a scalar on the device, and copy its buffers."""
    own: list[Tensor] = list(average.parameters())
    others: list[Tensor] = list(network.parameters())
    if isinstance(weight, Tensor):  # of which lerp would need one for each parameter
        change = torch._foreach_sub(others, own)
        torch._foreach_mul_(change, weight)
        torch._foreach_add_(own, change)
    else:
        torch._foreach_lerp_(own, others, weight)
    for target, source in zip(average.buffers(), network.buffers(), strict=True):
        target.copy_(source)


def update(
    accelerator: Accelerator,
    max_grad_norm: float | None,
    network: nn.Module,
    optimizer: Optimizer,
    losses: Iterator[Tensor],
    count: int,
) -> Tensor:
    """Make one optimizer step on the mean of `count` losses: an `Update` once its first two arguments are bound.

    Gradients are synchronized between processes in the last backward pass only. Unscaling, clipping and the optimizer
    step happen before the backward pass of the next network: with fp16, two networks would be unscaled twice.
    """
    for index in range(count):
        with nullcontext() if index == count - 1 else accelerator.no_sync(network):
            accelerator.backward(next(losses) / count)
    accelerator.unscale_gradients(optimizer)
    norm = nn.utils.clip_grad_norm_(network.parameters(), max_grad_norm or math.inf)
    optimizer.step()
    optimizer.zero_grad()
    return norm
