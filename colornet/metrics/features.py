"""The shipped evaluators, CIFAR-10 classifiers whose features measure: `v1` for results, `dev` for all before them.

Distances on their features are called `fd_cifar10_v1`, `kid_cifar10_dev` and so on, never FID.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load

from colornet.metrics.evaluator import Cifar10Classifier

__all__ = ["SHIPPED", "evaluator_card", "load_evaluator"]

SHIPPED = ("v1", "dev")

_WEIGHTS = Path(__file__).parents[1] / "weights"


def evaluator_card(name: str, folder: Path = _WEIGHTS) -> dict[str, Any]:
    """Read what is known of an evaluator: sha256 of its weights, widths, accuracy, training data, command."""
    card: dict[str, Any] = json.loads((folder / f"cifar10-{name}.json").read_text(encoding="utf-8"))
    return card


def load_evaluator(name: str, folder: Path = _WEIGHTS) -> Cifar10Classifier:
    """Load an evaluator, a shipped one unless a folder is given, frozen and in evaluation mode.

    Raises ValueError where its weights are not those that its card describes.
    """
    card = evaluator_card(name, folder)
    path = folder / f"cifar10-{name}.safetensors"
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise ValueError(f"{path} is not the file that {path.stem}.json describes: install colornet again.")
    network = Cifar10Classifier(card["config"]["widths"])
    network.load_state_dict(load(content))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
