"""Regression: the autoencoder."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from colornet.config import TrainConfig
from colornet.objectives import Charts, Prepare, Update
from colornet.objectives.base import GeneratorObjective, Means, Sample
from colornet.objectives.losses import RECONSTRUCTION_LOSSES


class Reconstruction(GeneratorObjective):
    """Minimize the distance between the generator's color and the true one."""

    description = "autoencoder"
    charts: ClassVar[Charts] = {"losses": {"reconstruction": ("loss/reconstruction",)}}

    def __init__(self, config: TrainConfig, generator: nn.Module, prepare: Prepare, update: Update) -> None:
        super().__init__(config, generator, prepare, update)
        self.distance = RECONSTRUCTION_LOSSES[config.reconstruction_loss]

    def loss(self, sample: Sample, means: Means) -> Tensor:
        loss = self.distance(self.generator(sample.gray, sample.noise), sample.color)
        means.add("loss/reconstruction", loss)
        return loss
