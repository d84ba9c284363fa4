"""The scores of held-out images: of the points of a run's `validation/` curves, and of `colornet evaluate`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

from accelerate import Accelerator
from torch import Tensor

from colornet.data import Dataset
from colornet.evaluation.loop import Colorize, gather, map_images, shard
from colornet.metrics.distribution import frechet_distance
from colornet.metrics.evaluator import CIFAR10_CLASSES, load_evaluator
from colornet.metrics.image import image_metrics, summarize
from colornet.metrics.precision import full_precision


class ValidationScore:
    """Scores colorings of the validation or test images; all ranks share the work and get all scores."""

    def __init__(
        self,
        dataset: Dataset,
        accelerator: Accelerator,
        *,
        batch_size: int,
        split: Literal["validation", "test"] = "validation",
    ) -> None:
        self.evaluator = load_evaluator("v2-dev").to(accelerator.device)
        self.images, labels = getattr(dataset, split), dataset.labels
        self.labels = getattr(labels, split) if labels is not None and labels.classes == CIFAR10_CLASSES else None
        self.accelerator = accelerator
        self.batch_size = batch_size

    @functools.cached_property
    def true_features(self) -> Tensor:
        """The features of the true images, float64 (N, D)."""
        return self._features(lambda truth: truth)

    def __call__(
        self,
        colorize: Colorize,
        watch: Callable[[Tensor, Tensor], None] = lambda output, truth: None,
        progress: str = "validation",
    ) -> dict[str, float]:
        """Return the scores; `watch` is called with outputs and truths (n, 3, H, W): once per image, over all ranks.

        `progress` is the title of the bar that rank 0 shows on a terminal.
        """
        parts = []
        for truth, own in shard(self.images, self.accelerator, batch_size=self.batch_size, progress=progress):
            output = colorize(truth)
            with full_precision(self.accelerator.device):
                features, logits = self.evaluator.measure(output)
                parts.append({**image_metrics(output, truth), "features": features, "class": logits.argmax(1)})
            watch(output[:own], truth[:own])
        values = gather(parts, len(self.images), self.accelerator)
        summary = summarize(values)
        if len(self.images) > 1:
            summary["fd_cifar10_v2_dev"] = frechet_distance(values["features"].double(), self.true_features)
        if self.labels is not None:
            summary["accuracy_cifar10_v2_dev"] = (values["class"] == self.labels).double().mean().item()
        return summary

    def distance(self, colorize: Colorize) -> float:
        """Return fd_cifar10_v2_dev alone, in a part of the time that all scores take."""
        return frechet_distance(self._features(colorize), self.true_features)

    def _features(self, colorize: Colorize) -> Tensor:
        """Return the features of all colorings, float64 (N, D)."""

        def measure(truth: Tensor) -> dict[str, Tensor]:
            output = colorize(truth)  # in the precision of the run
            with full_precision(self.accelerator.device):
                return {"features": self.evaluator.features(output)}

        return map_images(measure, self.images, self.accelerator, batch_size=self.batch_size)["features"].double()
