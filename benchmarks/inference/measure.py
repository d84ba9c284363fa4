"""The variants of coloring a set of images that `inference` times, interleaved, and what it writes down."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.core.record import Record, start_record
from benchmarks.core.steps import choose_device
from benchmarks.core.timing import Stopwatch, spread
from benchmarks.inference.options import InferenceOptions
from colornet.bar import Bar
from colornet.color import ColorSpace, to_float, to_uint8
from colornet.data import load_dataset
from colornet.inference.colorizer import Colorizer
from colornet.models.build import color_space
from colornet.runs.pretrained import find_model
from colornet.runs.run import load_run
from colornet.training.accelerator import keep_freed_memory

Speeds = NDArray[np.float64]

METHOD = {
    "loop": "ColorSpace.encode, the network in fp32, ColorSpace.decode, 8 bits, image by image, under torch.no_grad "
    "and in PyTorch's default layout; uint8 images on the device in, and out",
    "eager": "the same on batches",
    "Colorizer": "Colorizer.colorize of a batch of uint8 images; it also maps colors outside sRGB into its gamut",
    "timing": "interleaved passes over all images; images_per_second: p10, median and p90, ratio_to_loop: median ratio",
    "memory": "keep_freed_memory for all variants on a CPU, the loop included",
    "difference": "absolute differences of 8-bit sRGB values between Colorizer in bf16 and in fp32 on these images",
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """A variant of coloring images: `colorize` maps uint8 (n, 3, H, W) to that kind, `batch_size` images at a time."""

    name: str
    precision: str
    batch_size: int
    colorize: Callable[[Tensor], Tensor]

    def run(self, images: Tensor) -> Tensor:
        """Color all images (N, 3, H, W)."""
        return torch.cat([self.colorize(batch) for batch in images.split(self.batch_size)])


def build_variants(options: InferenceOptions, device: torch.device) -> list[Variant]:
    """Load the model for each variant, the loop first."""
    config, network = load_run(find_model(options.model))
    network = network.to(device).to(memory_format=torch.contiguous_format)
    plain = functools.partial(eager, network, color_space(config))
    colorizers = {name: Colorizer.load(options.model, device, bf16=name == "bf16") for name in ("no", "bf16")}
    variants = [Variant("loop", "no", 1, plain)]
    for size in options.batch_sizes:
        variants.append(Variant("eager", "no", size, plain))
        variants += [Variant("Colorizer", name, size, colorizer.colorize) for name, colorizer in colorizers.items()]
    return variants


@torch.no_grad()
def eager(network: torch.nn.Module, space: ColorSpace, images: Tensor) -> Tensor:
    """Color uint8 images (n, 3, H, W) without any optimization."""
    condition, _ = space.encode(to_float(images))
    return to_uint8(space.decode(condition, network(condition)))


def measure(options: InferenceOptions) -> Record:
    """Measure all variants, interleaved; return the record that the JSON file is to hold."""
    device = choose_device(options.cpu)
    config, _ = load_run(find_model(options.model))
    dataset = load_dataset(options.data, image_size=config.image_size, cache_dir=options.cache_dir, progress=True)
    images = dataset.test[: options.images].to(device)
    if device.type == "cpu":
        keep_freed_memory()
    variants = build_variants(options, device)
    speeds = time_interleaved(variants, images, options.passes, device)  # (passes, variants)
    fp32, bf16 = (variant.run(images).int() for variant in variants[2:4])  # Colorizer
    difference = (fp32 - bf16).abs()
    weights = find_model(options.model) / "model.safetensors"
    return {
        **start_record("inference", device, options),
        "data": {"name": dataset.name, "split": "test", "images": len(images), "fingerprint": dataset.fingerprint},
        "model": {"name": Path(options.model).name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()},
        "method": METHOD,
        "rows": [describe(variant, speeds[:, index], speeds[:, 0]) for index, variant in enumerate(variants)],
        "difference": {
            "largest": int(difference.max()),
            "mean": difference.float().mean().item(),
            "share_above_1": (difference > 1).float().mean().item(),
        },
    }


def time_interleaved(variants: list[Variant], images: Tensor, passes: int, device: torch.device) -> Speeds:
    """Color the images by each variant in turn, `passes` times after an untimed one: images/s (passes, variants)."""
    speeds = np.empty((passes + 1, len(variants)))
    for turn in Bar(range(passes + 1), unit="turn"):
        for index, variant in enumerate(variants):
            watch = Stopwatch(device)
            with watch.running():
                variant.run(images)
            speeds[turn, index] = len(images) / watch.seconds
    return speeds[1:]


def describe(variant: Variant, speeds: Speeds, loop: Speeds) -> Record:
    """Describe a variant and its images/s (passes,), beside those of the loop."""
    return {
        "way": variant.name,
        "precision": variant.precision,
        "batch_size": variant.batch_size,
        "images_per_second": spread(speeds),
        "ratio_to_loop": float(np.median(speeds / loop)),
    }
