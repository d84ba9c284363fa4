"""What objectives share: micro-batches as networks see them, and the means of what a step returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from colornet.color import ColorSpace, to_float


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
