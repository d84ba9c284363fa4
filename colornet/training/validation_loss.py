"""The loss of the validation images in the unit of the training curve `loss/reconstruction`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from accelerate import Accelerator
from torch import Tensor

from colornet.color import ColorSpace, to_float
from colornet.objectives.losses import RECONSTRUCTION_LOSSES


class ValidationLoss:
    """The mean distance of a network's colors from the true ones, as --reconstruction-loss measures it.

    It is called in place of the network, and keeps the colors before they become pixels. It costs no further pass.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], space: ColorSpace, kind: str, device: torch.device) -> None:
        self.network = network
        self.space = space
        self.distance = RECONSTRUCTION_LOSSES[kind]
        self.sums = torch.zeros(2, device=device)  # of the distances, and the images

    def __call__(self, gray: Tensor) -> Tensor:
        self.color = self.network(gray)
        return self.color

    def add(self, truth: Tensor) -> None:
        """Count the first images of the last call, given the true ones, uint8 (n, 3, H, W)."""
        if count := len(truth):  # a process may have none but padding
            _, color = self.space.encode(to_float(truth))
            mean = self.distance(self.color[:count].float(), color)
            self.sums += torch.stack((mean * count, mean.new_tensor(count)))

    def mean(self, accelerator: Accelerator) -> float:
        """Return the mean over the images of all processes, which must all call this."""
        total, count = accelerator.reduce(self.sums, "sum").tolist()
        return total / count
