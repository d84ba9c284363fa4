"""The error that `speedrun` measures, and its floors: what the network's own input scores without any training."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmarks.core.record import Record
from colornet.color import to_float, to_gray, to_uint8
from colornet.errors import InputError
from colornet.evaluation.loop import Colorize, gray_floor

MARGIN_DB = 0.5
"""How much better than the best floor a target must be: 11 % of the squared error, nearly twice what one constant color
for all images gains over gray on CIFAR-10 (0.3 dB). A network below that has hardly learned to color."""


def held_out_mse(colorize: Colorize, images: Tensor, device: torch.device, *, batch_size: int) -> float:
    """Color uint8 images (N, 3, H, W) on a device; return the mean squared error of RGB in [0, 1], at 8 bits."""
    total = torch.zeros((), dtype=torch.float64, device=device)
    for batch in images.split(batch_size):
        truth = batch.to(device)  # (n, 3, H, W)
        total += (colorize(truth).double() - truth.double()).div(255).square().sum()
    return total.item() / images.numel()


def measure_floors(train: Tensor, held_out: Tensor, device: torch.device, *, batch_size: int) -> dict[str, Record]:
    """Return the errors on uint8 images (N, 3, H, W) of their channel mean, and of that with a constant per channel.

    The constants are those with the least error on the training images, uint8 (M, 3, H, W), before rounding.
    """
    means = torch.stack([batch.double().mean((2, 3)).sum(0) for batch in train.split(batch_size)]).sum(0)  # (3,)
    means /= 255 * len(train)
    offset = (means - means.mean()).float()[:, None, None].to(device)  # (3, 1, 1), in shares of the range

    def tinted(images: Tensor) -> Tensor:
        return to_uint8(to_gray(to_float(images), "mean") + offset)

    def copied(images: Tensor) -> Tensor:
        return gray_floor(images, "mean")

    return {
        "input": {
            "about": "the channel mean, copied into R, G and B",
            "mse": held_out_mse(copied, held_out, device, batch_size=batch_size),
        },
        "input and constant": {
            "about": "the channel mean and the constant per channel that is best on the training images",
            "mse": held_out_mse(tinted, held_out, device, batch_size=batch_size),
            "constant": offset.flatten().tolist(),
        },
    }


def decibels_below(mse: float, floors: dict[str, Record]) -> float:
    """Return by how many dB an error is below that of the best floor; negative: above."""
    best = min(floor["mse"] for floor in floors.values())
    if not (best and mse):
        return math.inf if best else -math.inf
    return 10 * math.log10(best / mse)


def check_target(mse: float, floors: dict[str, Record]) -> None:
    """Raise `InputError` for a target that is not clearly better than the best floor: it measures no coloring."""
    if decibels_below(mse, floors) >= MARGIN_DB:
        return
    scores = " and ".join(f"{floor['mse']:.5f} ({name})" for name, floor in floors.items())
    needed = min(floor["mse"] for floor in floors.values()) / 10 ** (MARGIN_DB / 10)
    raise InputError(
        f"The notebook pipeline ends at an MSE of {mse:.5f}, but its input alone has {scores}: a target must be "
        f"{MARGIN_DB} dB better than the best of these, at most {needed:.5f}. Raise --notebook-epochs or "
        "--training-images."
    )
