"""Flow matching from a mean coloring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from colornet.config import TrainConfig
from colornet.models.build import color_space
from colornet.objectives import Charts, Prepare, Update
from colornet.objectives.base import Means, encode


class FlowMatching:
    """Regress the mean of the color and, at a random time of each image, the velocity of the flow to the truth."""

    description = "rectified flow"
    charts: ClassVar[Charts] = {"losses": {"mean and velocity": ("loss/mean", "loss/velocity")}}

    def __init__(self, config: TrainConfig, generator: nn.Module, prepare: Prepare, update: Update) -> None:
        self.generator, optimizer = prepare(generator, config.lr)
        self.networks = {"generator": self.generator}
        self.optimizers = {"generator": optimizer}
        self.space = color_space(config)
        self.update = update

    def alike(self, step: int) -> int:
        """All steps do the same."""
        return 0

    def training_step(
        self, microbatches: Sequence[Tensor], *, step: int = 0, noise: Sequence[Tensor] | None = None
    ) -> dict[str, Tensor]:
        means = Means(len(microbatches))

        def losses() -> Iterator[Tensor]:
            for gray, color, z in encode(self.space, microbatches, noise):
                pair = self.generator(gray, z, color)
                mean, velocity = F.mse_loss(pair.mean, pair.color), F.mse_loss(pair.velocity, pair.target)
                means.add("loss/mean", mean)
                means.add("loss/velocity", velocity)
                yield mean + velocity

        norm = self.update(self.generator, self.optimizers["generator"], losses(), len(microbatches))
        return {**means.values, "grad_norm/generator": norm}
