"""Everything the quality table measures of one set of images against the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.quality.bootstrap import SHARES
from benchmarks.quality.color_stats import color_scores
from benchmarks.quality.columns import DISTINCT
from benchmarks.quality.inception import INCEPTION_SHA256, INCEPTION_URL, load_inception
from benchmarks.quality.near_duplicates import near_duplicates
from benchmarks.quality.options import QualityOptions
from benchmarks.quality.perceptual import load_lpips
from benchmarks.quality.pretrained_networks import WeightsUnavailable, find_weights
from colornet.data import Dataset, default_cache_dir
from colornet.evaluation.loop import map_images
from colornet.files import replacing
from colornet.metrics.distribution import frechet_distance, kernel_distance, precision_recall
from colornet.metrics.evaluator import CIFAR10_CLASSES
from colornet.metrics.features import evaluator_card, load_evaluator
from colornet.metrics.image import image_metrics, summarize

__all__ = ["FEWEST_IMAGES", "Measures", "Scores"]

FEWEST_IMAGES = 4  # or else precision and recall have no third neighbor
_ROBUSTNESS = ("fd_cifar10_v1_mean", "fd_cifar10_v1_rec601")
_DISTANCES = ("fid", "kid", "precision", "recall", "fid_train", "kid_train")


@dataclass(frozen=True)
class Scores:
    """What was measured of a set of images: each column's value, and the per-image values (N,) behind some of them.

    `distinct` are some of the columns over the images that have no near-duplicate among the training images.
    """

    values: dict[str, float | None]
    per_image: dict[str, Tensor]
    distinct: dict[str, float | None]


class Measures:
    """Scores sets of images against one set of true ones, whose features are computed once and kept in the cache.

    `reasons` says of columns that cannot be had why. Every rank works on its shard; distances are computed by rank 0,
    and only its scores hold them.
    """

    def __init__(
        self, config: QualityOptions, accelerator: Accelerator, images: Tensor, classes: Tensor | None, dataset: Dataset
    ) -> None:
        self.accelerator = accelerator
        self.truth = images
        self.classes = classes if dataset.labels and dataset.labels.classes == CIFAR10_CLASSES else None
        self.batch_size = config.batch_size
        self.features_batch = config.features_batch
        self.cache_dir = config.cache_dir or default_cache_dir()
        device = accelerator.device
        self.distinct = ~near_duplicates(images.to(device), dataset.train.to(device)).cpu()  # (N,)
        self.reasons: dict[str, str] = {}
        if self.classes is None:
            self.reasons["accuracy"] = "The images are not sorted into the ten classes of CIFAR-10."

        if not config.robustness:
            self.reasons |= dict.fromkeys(_ROBUSTNESS, "Not asked for: --robustness.")
        card = evaluator_card("v1")
        self.evaluator = load_evaluator("v1").to(device)
        self.evaluators: dict[str, Any] = {"cifar10_v1": {"sha256": card["sha256"], "accuracy": card["accuracy"]}}
        self.references = {"_cifar10_v1": self._reference_features(self._own_features, card["sha256"], dataset)}
        self.inception = self._find_inception(config)
        if self.inception is not None:
            self.references[""] = self._reference_features(self._inception_features, INCEPTION_SHA256, dataset)
        self.lpips = self._find_lpips(config)

    def __call__(self, pixels: Tensor) -> Scores:
        """Score images (N, 3, H, W), uint8 and in the order of the true ones."""
        pairs = torch.cat((pixels, self.truth), dim=1)  # (N, 6, H, W), so that both take the same way
        per_image = self._map(self._image_scores, pairs, self.batch_size)
        if self.classes is not None:
            per_image["right"] = (per_image["class"] == self.classes).double()
        features = {"_cifar10_v1": per_image.pop("features")}
        if self.inception is not None:
            features[""] = self._map(self._inception_features, pixels, self.features_batch)["features"]
        if self.lpips is not None:
            per_image |= self._map(self._lpips_scores, pairs, self.features_batch)
        values = _column_values(per_image)
        enough = self.distinct.sum() >= FEWEST_IMAGES
        distinct = _column_values({name: v[self.distinct] for name, v in per_image.items()}) if enough else {}
        if self.accelerator.is_main_process:
            for suffix, found in features.items():
                references = self.references[suffix]
                values |= _distances(found, references, suffix)
                if enough:
                    kept, true = found[self.distinct], references["paired"][self.distinct]
                    distinct[_fd(suffix)] = frechet_distance(kept.double(), true.double())
        return Scores(values, per_image, {name: distinct[name] for name in DISTINCT if name in distinct})

    def frechet(self, pixels: Tensor) -> float | None:
        """Measure the one headline distance of images (N, 3, H, W), uint8 and in the order of the true ones."""
        features = self._map(self._own_features, pixels, self.batch_size)["features"]
        if not self.accelerator.is_main_process:
            return None
        return frechet_distance(features.double(), self.references["_cifar10_v1"]["paired"].double())

    def _map(self, function: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor, size: int) -> dict[str, Tensor]:
        return map_images(function, images, self.accelerator, batch_size=size)

    def _image_scores(self, pairs: Tensor) -> dict[str, Tensor]:
        output, truth = pairs.chunk(2, dim=1)  # (n, 3, H, W) each
        features, logits = self.evaluator.measure(output)
        described = {**image_metrics(output, truth), **color_scores(output, truth)}
        return {**described, "features": features, "class": logits.argmax(1)}

    def _own_features(self, images: Tensor) -> dict[str, Tensor]:
        return {"features": self.evaluator.features(images)}

    def _inception_features(self, images: Tensor) -> dict[str, Tensor]:
        assert self.inception is not None
        return {"features": self.inception(images)}

    def _lpips_scores(self, pairs: Tensor) -> dict[str, Tensor]:
        assert self.lpips is not None
        return {"lpips": self.lpips(*pairs.chunk(2, dim=1)).double()}

    def _reference_features(
        self, function: Callable[[Tensor], Mapping[str, Tensor]], weights: str, dataset: Dataset
    ) -> dict[str, Tensor]:
        """Return the features of the true images and of the training images, from the cache where they are there."""
        size = self.batch_size if function == self._own_features else self.features_batch
        found = {}
        for name, images in (("paired", self.truth), ("train", dataset.train)):
            key = hashlib.sha256(f"{weights} {tuple(images.shape)}\n".encode())
            key.update(images.contiguous().numpy().data)
            path = self.cache_dir / "features" / f"{key.hexdigest()}.safetensors"
            features = _cached(path)
            self.accelerator.wait_for_everyone()  # or one rank finds what another is about to write
            if features is None:
                features = map_images(
                    function, images, self.accelerator, batch_size=size, progress=f"features, {name}"
                )["features"]
                if self.accelerator.is_main_process:
                    with replacing(path) as temporary:
                        save_file({"features": features.contiguous()}, temporary)
            found[name] = features
        return found

    def _find_inception(self, config: QualityOptions) -> Callable[[Tensor], Tensor] | None:
        # The first process of a machine downloads, the others find what it kept. Nothing may leave the block by an
        # exception: it ends in a barrier.
        with self.accelerator.local_main_process_first():
            try:
                self._check_wanted("inception", config.inception, config.inception_weights)
                weights = find_weights(
                    config.inception_weights, self.cache_dir, url=INCEPTION_URL, sha256=INCEPTION_SHA256
                )
            except WeightsUnavailable as error:
                self.reasons |= dict.fromkeys(_DISTANCES, f"{error}.")
        if "fid" in self.reasons:
            return None
        self.evaluators["inception"] = {"sha256": INCEPTION_SHA256}
        return load_inception(weights, self.accelerator.device)

    def _find_lpips(self, config: QualityOptions) -> Callable[[Tensor, Tensor], Tensor] | None:
        with self.accelerator.local_main_process_first():
            try:
                self._check_wanted("lpips", config.lpips, config.lpips_weights)
                return load_lpips(config.lpips_weights, self.cache_dir, self.accelerator.device)
            except WeightsUnavailable as error:
                self.reasons["lpips"] = f"{error}."
        return None

    def _check_wanted(self, option: str, choice: str, weights: Path | None) -> None:
        """Raise `WeightsUnavailable` for a network that was not asked for."""
        if choice == "off":
            raise WeightsUnavailable(f"Left out by --{option} off")
        if choice == "auto" and weights is None and self.accelerator.device.type == "cpu":
            raise WeightsUnavailable(f"Left out on a CPU, where it takes long: --{option} on")


def _cached(path: Path) -> Tensor | None:
    try:
        return load_file(path)["features"] if path.exists() else None
    except (SafetensorError, OSError, KeyError):
        return None  # damaged: computed and written again


def _column_values(per_image: Mapping[str, Tensor]) -> dict[str, float | None]:
    """Reduce per-image values (N,) to the columns that follow from them; those of missing networks are None."""
    summary = summarize(per_image)
    names = ("cf", "delta_cf", "delta_cf_image", "psnr", "psnr_pooled", "ssim", "l1", "ciede2000", "lightness")
    return {
        **dict.fromkeys((*_DISTANCES, *_own(_DISTANCES), *_ROBUSTNESS), None),
        **{name: summary[name] for name in names},
        "accuracy": 100 * per_image["right"].mean().item() if "right" in per_image else None,
        "lpips": per_image["lpips"].mean().item() if "lpips" in per_image else None,
        **{name: per_image[name].mean().item() for name in ("mean_a", "mean_b", "chroma")},
        **{name: 100 * per_image[name].mean().item() for name in SHARES},
        "sepia_of_colored": _ratio(per_image["sepia"], per_image["colored"]),
    }


def _ratio(part: Tensor, whole: Tensor) -> float | None:
    """Return a share of a share over all images, per cent; None where there is no whole."""
    return 100 * (part.sum() / whole.sum()).item() if whole.any() else None


def _own(columns: Sequence[str]) -> list[str]:
    """Name the columns on our own features after those on Inception's: fid_train is fd_cifar10_v1_train."""
    parts = [name.replace("fid", "fd").partition("_train") for name in columns]
    return [f"{base}_cifar10_v1{train}" for base, train, _ in parts]


def _distances(features: Tensor, references: Mapping[str, Tensor], suffix: str) -> dict[str, float | None]:
    """Compute the distances of features (N, D) to those of the true and of the training images, in float64."""
    fd = _fd(suffix)
    found: dict[str, float | None] = {}
    for name, end in (("paired", ""), ("train", "_train")):
        reference = references[name].double()
        found[f"{fd}{end}"] = frechet_distance(features.double(), reference)
        found[f"kid{suffix}{end}"] = kernel_distance(features.double(), reference)[0]
    precision, recall = precision_recall(features, references["paired"])
    return found | {f"precision{suffix}": precision, f"recall{suffix}": recall}


def _fd(suffix: str) -> str:
    """Name the Fréchet distance on the features that a suffix stands for: "" is Inception's."""
    return f"fd{suffix}" if suffix else "fid"
