"""Importing this module registers the shipped evaluators with torch-fidelity, as `cifar10-v1` and `cifar10-dev`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import register_feature_extractor

from colornet.metrics.features import SHIPPED, load_evaluator

__all__ = ["EvaluatorExtractor"]


class EvaluatorExtractor(FeatureExtractorBase):  # type: ignore[misc]  # torch-fidelity has no types
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
    register_feature_extractor(f"cifar10-{_name}", EvaluatorExtractor)
