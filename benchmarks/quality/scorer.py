"""Everything the quality table measures of one set of images against the truth."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.quality import dinov2, pretrained_networks
from benchmarks.quality.ceiling import accuracy_told
from benchmarks.quality.color_stats import color_scores
from benchmarks.quality.columns import COLUMNS, DISTINCT, SHARES, distance_names, fd_column
from benchmarks.quality.dinov2 import DINOV2_SHA256, load_dinov2
from benchmarks.quality.near_duplicates import near_duplicates
from benchmarks.quality.options import QualityOptions
from benchmarks.quality.pretrained_networks import INCEPTION_SHA256, MissingWeightsError, load_inception, load_lpips
from colornet import color
from colornet.color import ColorSpace, Gray, lightness_input
from colornet.data import Dataset, default_cache_dir
from colornet.errors import InputError
from colornet.evaluation.loop import colorize_all, colorize_with, map_images
from colornet.evaluation.processes import local_first
from colornet.files import replacing
from colornet.metrics import evaluator, precision
from colornet.metrics.distribution import frechet_distance, kernel_distance, precision_recall
from colornet.metrics.evaluator import CIFAR10_CLASSES, evaluator_card, load_evaluator
from colornet.metrics.image import image_metrics, summarize
from colornet.metrics.precision import full_precision

T = TypeVar("T")

FEWEST_IMAGES = 4  # or else precision and recall have no third neighbor
OTHER_GRAYS: dict[str, Gray] = {"fd_cifar10_v2_mean": "mean", "fd_cifar10_v2_rec601": "rec601"}
_FEATURE_CODE = (color, dinov2, evaluator, precision, pretrained_networks)  # of other code, features are not reused
_FEATURE_PACKAGES = ("torch", "torch-fidelity", "torchvision")

Network = Callable[[Tensor], Tensor]
"""From a batch of uint8 images (n, C, H, W) to what it computes of each, (n, …)."""

Values = dict[str, float | None]
"""A value for each column; None where it is unknown."""


@dataclass(frozen=True)
class Scores:
    """What was measured of a set of images: each column's value, and the per-image values (N,) behind some of them.

    `distinct` are some of the columns over the images that have no near-duplicate among the training images.
    """

    values: Values
    per_image: dict[str, Tensor]
    distinct: Values


class Scorer:
    """Scores sets of images against the true ones, the part `options.split` of a data set.

    The features of the true and of the training images are computed once and kept in the cache. `reasons` says why
    columns are empty. Every rank works on its shard; distances are computed by rank 0, and only its scores hold them.
    `ceiling` is what `accuracy_told` knows of the images. Raises `InputError` for a part with fewer images than
    `FEWEST_IMAGES`, and for a ceiling of other images.
    """

    def __init__(self, options: QualityOptions, accelerator: Accelerator, dataset: Dataset) -> None:
        self.options = options
        self.accelerator = accelerator
        self.dataset = dataset
        self.cache_dir = options.cache_dir or default_cache_dir()
        self.images, self.classes, self.names = part_of(dataset, options.split)
        if len(self.images) < FEWEST_IMAGES:
            raise InputError(
                f"{dataset.name} has {len(self.images)} {options.split} images: at least {FEWEST_IMAGES} are needed."
            )
        self.cifar10_classes = self.classes if self.names == CIFAR10_CLASSES else None
        self.ceiling = accuracy_told(options.ceiling, dataset.fingerprint, options.split)
        device = accelerator.device
        with full_precision(device):
            self.distinct = ~near_duplicates(self.images.to(device), dataset.train.to(device)).cpu()  # (N,)
        self.reasons: dict[str, str] = {}
        if self.cifar10_classes is None:
            no_classes = "The images are not sorted into the ten classes of CIFAR-10."
            self.reasons |= {"accuracy": no_classes, "accuracy_share": no_classes}
        elif self.ceiling is None:
            self.reasons["accuracy_share"] = "No result of `benchmarks ceiling` is known for these images: --ceiling."
        if not options.all_grays:
            self.reasons |= dict.fromkeys(OTHER_GRAYS, "Not asked for: --all-grays.")
        card = evaluator_card("v2")
        self.evaluator = load_evaluator("v2").to(device)
        self.evaluators: dict[str, Any] = {"cifar10_v2": {"sha256": card["sha256"], "accuracy": card["accuracy"]}}
        features = self.evaluator.features
        self.references = {"_cifar10_v2": self._references(features, card["sha256"], options.batch_size)}

        self.published: dict[str, Network] = {}  # by the suffix of their columns
        for name, suffix, load, sha256 in (
            ("inception", "", load_inception, INCEPTION_SHA256),
            ("dinov2", "_dinov2", load_dinov2, DINOV2_SHA256),
        ):
            network = self._load(name, distance_names(suffix), load)
            if network is not None:
                self.published[suffix] = network
                self.evaluators[name] = {"sha256": sha256}
                self.references[suffix] = self._references(network, sha256, options.features_batch)
        self.lpips = self._load("lpips", ["lpips"], load_lpips)

    def __call__(self, pixels: Tensor) -> Scores:
        """Score images (N, 3, H, W), uint8 and in the order of the true ones."""
        pairs = torch.cat((pixels, self.images), dim=1)  # (N, 6, H, W), so that both take the same path
        batch_size, features_batch = self.options.batch_size, self.options.features_batch
        with full_precision(self.accelerator.device):
            per_image = map_images(self._score_pairs, pairs, self.accelerator, batch_size=batch_size)
        if self.cifar10_classes is not None:
            per_image["accuracy"] = (per_image["class"] == self.cifar10_classes).double()
        features = {"_cifar10_v2": per_image.pop("features")}
        for suffix, network in self.published.items():
            features[suffix] = self._map(network, pixels, features_batch)
        if (lpips := self.lpips) is not None:
            distances = self._map(lambda batch: lpips(*batch.chunk(2, dim=1)), pairs, features_batch)
            per_image["lpips"] = distances.double()
        values = _column_values(per_image)
        enough = self.distinct.sum() >= FEWEST_IMAGES
        distinct = _column_values({name: v[self.distinct] for name, v in per_image.items()}) if enough else {}
        if self.accelerator.is_main_process:
            for suffix, found in features.items():
                references = self.references[suffix]
                values |= _distances(found, references, suffix)
                if enough:
                    kept, true = found[self.distinct], references["paired"][self.distinct]
                    distinct[fd_column(suffix)] = frechet_distance(kept.double(), true.double())
        return Scores(values, per_image, {name: distinct[name] for name in DISTINCT if name in distinct})

    def colorize(
        self, network: Network, space: ColorSpace, gray: Network = lightness_input, images: Tensor | None = None
    ) -> Tensor:
        """Color uint8 images (N, 3, H, W), by default the true ones, from the protocol's gray or another: uint8."""
        colorize = colorize_with(network, space, self.accelerator, gray=gray)
        images = self.images if images is None else images
        return colorize_all(colorize, images, self.accelerator, batch_size=self.options.batch_size)

    def frechet(self, pixels: Tensor) -> float | None:
        """Measure the one headline distance of images (N, 3, H, W), uint8 and in the order of the true ones."""
        features = self._map(self.evaluator.features, pixels, self.options.batch_size)
        if not self.accelerator.is_main_process:
            return None
        return frechet_distance(features.double(), self.references["_cifar10_v2"]["paired"].double())

    def _map(self, network: Network, images: Tensor, batch_size: int, progress: str | None = None) -> Tensor:
        """Apply a network to uint8 images (N, C, H, W) on all ranks: (N, …)."""
        with full_precision(self.accelerator.device):
            found = map_images(
                lambda x: {"computed": network(x)}, images, self.accelerator, batch_size=batch_size, progress=progress
            )
        return found["computed"]

    def _score_pairs(self, pairs: Tensor) -> dict[str, Tensor]:
        output, truth = pairs.chunk(2, dim=1)  # (n, 3, H, W) each
        features, logits = self.evaluator.measure(output)
        described = {**image_metrics(output, truth), **color_scores(output, truth)}
        return {**described, "features": features, "class": logits.argmax(1)}

    def _references(self, network: Network, sha256: str, batch_size: int) -> dict[str, Tensor]:
        """Return the features of the true images and of the training images, on rank 0; other ranks return nothing.

        They come from the cache where rank 0 finds them there. The caches of machines differ: rank 0 decides for all
        ranks whether they compute, since computing is shared.
        """
        found = {}
        for name, images in (("paired", self.images), ("train", self.dataset.train)):
            path, features = self._features_path(sha256, images), None
            if self.accelerator.is_main_process:
                with suppress(SafetensorError, OSError, KeyError):  # missing or damaged: computed and written
                    features = load_file(path)["features"]
            (known,) = broadcast_object_list([features is not None])
            if not known:
                features = self._map(network, images, batch_size, progress=f"features, {name}")
            if features is not None and self.accelerator.is_main_process:
                found[name] = features
                if not known:
                    with replacing(path) as temporary:
                        save_file({"features": features.contiguous()}, temporary)
        return found

    def _features_path(self, sha256: str, images: Tensor) -> Path:
        """Return where the features of images are kept: by images, weights, code, libraries and kind of device."""
        key = hashlib.sha256(f"{sha256} {tuple(images.shape)} {self.accelerator.device.type}\n".encode())
        key.update(" ".join(f"{package} {version(package)}" for package in _FEATURE_PACKAGES).encode())
        for module in _FEATURE_CODE:
            key.update(inspect.getsource(module).encode())
        key.update(images.contiguous().numpy().data)
        return self.cache_dir / "features" / f"{key.hexdigest()}.safetensors"

    def _load(
        self, name: str, columns: Iterable[str], load: Callable[[Path | None, Path, torch.device], T]
    ) -> T | None:
        """Load a published network, or note why its columns stay empty.

        The first process of a machine downloads its weights, the others find them in the cache.
        """
        choice, weights = getattr(self.options, name), getattr(self.options, f"{name}_weights")
        device = self.accelerator.device
        failure: Exception
        if choice == "off":
            failure = MissingWeightsError(f"Left out by --{name} off")
        elif choice == "auto" and weights is None and device.type == "cpu":
            failure = MissingWeightsError(f"Left out on a CPU, where it takes long: --{name} on")
        else:
            network, mine = None, None
            # No exception may leave this block: it ends in a barrier.
            with local_first(self.accelerator):
                try:
                    network = load(weights, self.cache_dir, device)
                except (MissingWeightsError, InputError) as error:
                    mine = error
            # Computing is shared: a network that one machine lacks is left out on all of them.
            failures = [error for error in gather_object([mine]) if error is not None]
            if not failures:
                return network
            failure = failures[0]
        if isinstance(failure, InputError):
            raise failure
        self.reasons |= dict.fromkeys(columns, f"{failure}.")
        return None


def part_of(dataset: Dataset, split: str) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Return the images of a part (N, 3, H, W), their classes (N,) if they have any, and the names of the classes."""
    labels = dataset.labels
    return (getattr(dataset, split), *((getattr(labels, split), labels.classes) if labels else (None, ())))


def _column_values(per_image: Mapping[str, Tensor]) -> Values:
    """Reduce per-image values (N,) to the columns that follow from them; the other columns are None."""
    found = {name: values.mean().item() for name, values in per_image.items() if values.is_floating_point()}
    found |= summarize(per_image)
    found |= {name: 100 * found[name] for name in (*SHARES, "sepia_of_colored") if name in found}
    return {name: found.get(name) for name in COLUMNS}


def _distances(features: Tensor, references: Mapping[str, Tensor], suffix: str) -> Values:
    """Compute the distances of features (N, D) to those of the true and of the training images, in float64."""
    found: Values = {}
    for name, end in (("paired", ""), ("train", "_train")):
        reference = references[name].double()
        found[f"{fd_column(suffix)}{end}"] = frechet_distance(features.double(), reference)
        found[f"kid{suffix}{end}"] = kernel_distance(features.double(), reference)[0]
    precision, recall = precision_recall(features, references["paired"])
    return found | {f"precision{suffix}": precision, f"recall{suffix}": recall}
