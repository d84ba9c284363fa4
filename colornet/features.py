"""The shipped evaluators, CIFAR-10 classifiers whose features measure: `v1` for results, `dev` for all before them.

Distances on their features are called `fd_cifar10_v1`, `kid_cifar10_dev` and so on, never FID. Importing this module
registers both with torch-fidelity as `cifar10-v1` and `cifar10-dev`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import register_feature_extractor

from colornet.classifier import Cifar10Classifier

__all__ = ["SHIPPED", "evaluator_card", "load_evaluator"]

SHIPPED = ("v1", "dev")

_WEIGHTS = Path(__file__).parent / "weights"


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


class _Extractor(FeatureExtractorBase):  # type: ignore[misc]  # torch-fidelity has no types
    """An evaluator as torch-fidelity wants it: uint8 (N, 3, H, W) to a tuple of the named features."""

    def __init__(self, name: str, features_list: list[str], **_: Any) -> None:
        super().__init__(name, features_list)
        self.network = load_evaluator(name.removeprefix("cifar10-"))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("features", "logits")

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return {"isc": "logits"}.get(metric, "features")

    @staticmethod
    def can_be_compiled() -> bool:
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros((4, 3, 32, 32), dtype=torch.uint8)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features, logits = self.network.measure(images)
        values = {"features": features, "logits": logits}
        return tuple(values[name] for name in self.features_list)


for _name in SHIPPED:
    register_feature_extractor(f"cifar10-{_name}", _Extractor)
