"""What objectives share: micro-batches as networks see them, means, and the step of those without a second network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from colornet.color import ColorSpace, to_float
from colornet.config import TrainConfig
from colornet.models.build import color_space
from colornet.objectives import Charts, Prepare, Update


class Sample(NamedTuple):
    """A micro-batch as the networks see it: gray (n, 1, H, W), color (n, C, H, W), and the generator's noise."""

    gray: Tensor
    color: Tensor
    noise: Tensor | None


def encode(space: ColorSpace, microbatches: Sequence[Tensor], noise: Sequence[Tensor] | None) -> Iterator[Sample]:
    """Encode uint8 images, a list of (n, 3, H, W), in a color space, and join each micro-batch with its noise."""
    for index, images in enumerate(microbatches):
        yield Sample(*space.encode(to_float(images)), None if noise is None else noise[index])


class Means:
    """Means of scalars over the micro-batches of a step, kept on the device."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.values: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add the value of one micro-batch."""
        share = value.detach() / self.count
        self.values[name] = self.values[name] + share if name in self.values else share


class GeneratorObjective(ABC):
    """An objective that trains the generator alone: a subclass gives `loss`, `description` and `charts`."""

    description: ClassVar[str]
    charts: ClassVar[Charts]

    def __init__(self, config: TrainConfig, generator: nn.Module, prepare: Prepare, update: Update) -> None:
        self.generator, optimizer = prepare(generator, config.lr)
        self.networks = {"generator": self.generator}
        self.optimizers = {"generator": optimizer}
        self.space = color_space(config)
        self.update = update

    @abstractmethod
    def loss(self, sample: Sample, means: Means) -> Tensor:
        """Return the loss of a micro-batch, a scalar, and add to `means` the values of its curves."""

    def alike(self, step: int) -> int:
        """All steps do the same work, without random numbers; a subclass of which this is false sets it to None."""
        return 0

    def training_step(
        self, microbatches: Sequence[Tensor], *, step: int = 0, noise: Sequence[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Update the generator once on the mean of the losses."""
        means = Means(len(microbatches))
        losses = (self.loss(sample, means) for sample in encode(self.space, microbatches, noise))
        norm = self.update(self.generator, self.optimizers["generator"], losses, means.count)
        return {**means.values, "grad_norm/generator": norm}
