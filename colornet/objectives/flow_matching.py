"""Flow matching from a mean coloring."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from colornet.objectives import Charts
from colornet.objectives.base import GeneratorObjective, Means, Sample


class FlowMatching(GeneratorObjective):
    """Regress the mean of the color and, at a random time of each image, the velocity of the flow to the truth."""

    description = "rectified flow"
    charts: ClassVar[Charts] = {"losses": {"mean and velocity": ("loss/mean", "loss/velocity")}}

    def loss(self, sample: Sample, means: Means) -> Tensor:
        pair = self.generator(sample.gray, sample.noise, sample.color)
        mean, velocity = F.mse_loss(pair.mean, pair.color), F.mse_loss(pair.velocity, pair.target)
        means.add("loss/mean", mean)
        means.add("loss/velocity", velocity)
        return mean + velocity
