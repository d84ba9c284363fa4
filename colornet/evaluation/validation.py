"""The scores that a run computes while it trains: the points of its `validation/` curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from accelerate import Accelerator
from torch import Tensor

from colornet.data import Dataset
from colornet.evaluation.loop import Colorize, gather, shard
from colornet.metrics.distribution import frechet_distance
from colornet.metrics.evaluator import CIFAR10_CLASSES, load_evaluator
from colornet.metrics.image import image_metrics, summarize


class ValidationScore:
    """Scores colorings of the validation images; all ranks share the work and get all scores."""

    def __init__(self, dataset: Dataset, accelerator: Accelerator, *, batch_size: int) -> None:
        self.evaluator = load_evaluator("dev").to(accelerator.device)
        labels = dataset.labels
        self.labels = labels.validation if labels is not None and labels.classes == CIFAR10_CLASSES else None
        self.accelerator = accelerator
        self.batch_size = batch_size
        self.true_features: Tensor | None = None  # of the validation images, computed when first needed

    def __call__(
        self, colorize: Colorize, images: Tensor, watch: Callable[[Tensor, Tensor], None] | None = None
    ) -> dict[str, float]:
        """Score colorings of the validation images (N, 3, H, W).

        `watch` is called with outputs and truths (n, 3, H, W): once for each image, over all ranks.
        """
        parts: list[Mapping[str, Tensor]] = []
        for truth, own in shard(images, self.accelerator, batch_size=self.batch_size, progress="validation"):
            output = colorize(truth)
            features, logits = self.evaluator.measure(output)
            parts.append({**image_metrics(output, truth), "features": features, "class": logits.argmax(1)})
            if watch is not None:
                watch(output[:own], truth[:own])
        values = gather(parts, len(images), self.accelerator)

        summary = summarize(values)
        if len(images) > 1:
            if self.true_features is None:
                batches = shard(images, self.accelerator, batch_size=self.batch_size)
                parts = [{"features": self.evaluator.features(batch)} for batch, _ in batches]
                self.true_features = gather(parts, len(images), self.accelerator)["features"]
            summary["fd_cifar10_dev"] = frechet_distance(values["features"].double(), self.true_features.double())
        if self.labels is not None:
            summary["accuracy_cifar10_dev"] = (values["class"] == self.labels).double().mean().item()
        return summary
