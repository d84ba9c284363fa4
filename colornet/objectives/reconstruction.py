"""Regression: the autoencoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor, nn

from colornet.config import TrainConfig
from colornet.models.build import color_space
from colornet.objectives import Charts, Prepare, Update
from colornet.objectives.base import Means, encode
from colornet.objectives.losses import RECONSTRUCTION_LOSSES


class Reconstruction:
    """Minimize the distance between the generator's color and the true one."""

    description = "autoencoder"
    charts: ClassVar[Charts] = {"losses": {"reconstruction": ("loss/reconstruction",)}}

    def __init__(self, config: TrainConfig, generator: nn.Module, prepare: Prepare, update: Update) -> None:
        self.generator, optimizer = prepare(generator, config.lr)
        self.networks = {"generator": self.generator}
        self.optimizers = {"generator": optimizer}
        self.space = color_space(config)
        self.distance = RECONSTRUCTION_LOSSES[config.reconstruction_loss]
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
                loss = self.distance(self.generator(gray, z), color)
                means.add("loss/reconstruction", loss)
                yield loss

        norm = self.update(self.generator, self.optimizers["generator"], losses(), len(microbatches))
        return {**means.values, "grad_norm/generator": norm}
