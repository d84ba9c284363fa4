"""The choice of the device and the precision of a benchmark."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from colornet.config import TrainConfig
from colornet.training.accelerator import choose_precision


def choose_device(cpu: bool) -> torch.device:
    """Return the GPU if there is one, unless the CPU was asked for."""
    return torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")


def settle(config: TrainConfig, device: torch.device) -> TrainConfig:
    """Replace every `auto` of a configuration by what it means on a device.

    Raises `InputError` for a precision that the device does not have.
    """
    on_gpu = device.type == "cuda"
    compiled = config.compile == "on" or (config.compile == "auto" and on_gpu)
    values: dict[str, Any] = {"mixed_precision": choose_precision(config), "compile": "on" if compiled else "off"}
    return dataclasses.replace(config, cpu=not on_gpu, **values)
