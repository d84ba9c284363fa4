"""Cases of speed benchmarks and the images that they train on, made here."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from benchmarks.core.steps import Case, Mode
from colornet.config import PRESETS
from colornet.data import Dataset

__all__ = ["CPU", "GPU", "case", "dataset", "images"]

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def images(count: int, side: int = 16) -> Tensor:
    """Return random uint8 images (count, 3, side, side), always the same."""
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def dataset(count: int, side: int = 16) -> Dataset:
    """Return a data set of so many training images."""
    return Dataset("made here", images(count, side), images(1, side), images(1, side), "")


def case(preset: str, mode: Mode, **changes: Any) -> Case:
    """Return a case of a preset with other values, on the CPU."""
    return Case(preset, mode, dataclasses.replace(PRESETS[preset].config, **{"cpu": True, **changes}))
