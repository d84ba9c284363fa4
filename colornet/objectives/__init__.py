"""What one training step is: one approach per file, and the protocols between an approach and the trainer.

An objective knows no device, process, file or log. It is handed the generator, `prepare`, which makes a network ready
for training, and `update`, which turns losses into one optimizer step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from colornet.config import TrainConfig

__all__ = ["Charts", "Objective", "Prepare", "Update"]

Charts = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Charts of TensorBoard's tab "Custom Scalars": group → title → names of the curves that share its axes."""


Prepare = Callable[[nn.Module, float], tuple[nn.Module, Optimizer]]
"""Compiles a network, wraps it for the processes, and gives it an optimizer with a learning rate."""

Update = Callable[[nn.Module, Optimizer, Iterator[Tensor], int], Tensor]
"""Makes one optimizer step on the mean of a number of losses and returns the L2 norm of its gradient, a scalar.

The losses come from an iterator so that the graph of only one micro-batch is in memory at a time.
"""


class Objective(Protocol):
    """What the trainer needs of an objective, which raises `InputError` when built with options that it cannot use.

    For --whole-step it also has `alike(step) -> int`: steps with the same number do the same work on other values, and
    draw no random numbers.
    """

    description: ClassVar[str]  # what a model is trained as, for its card: "autoencoder"
    charts: ClassVar[Charts]  # of the values that `training_step` returns
    generator: nn.Module
    networks: dict[str, nn.Module]  # by name, as the optimizers
    optimizers: dict[str, Optimizer]

    def __init__(self, config: TrainConfig, generator: nn.Module, prepare: Prepare, update: Update) -> None: ...

    def training_step(
        self, microbatches: Sequence[Tensor], *, step: int = 0, noise: Sequence[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Update every network once on uint8 images, a list of (n, 3, H, W); return detached scalars by name.

        `step` counts the updates before this one; a generator that sees noise is given `noise`, a list of (n, C).
        """
        ...
