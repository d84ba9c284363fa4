"""The training behind `python -m benchmarks evaluator`."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from benchmarks.evaluator.options import EvaluatorOptions
from benchmarks.evaluator.recipe import fit_statistics, labeled_cifar10, optimize
from colornet.color import lab_to_rgb, rgb_to_lab, to_float, to_uint8
from colornet.config import TrainConfig
from colornet.files import replacing
from colornet.metrics.evaluator import Cifar10Classifier
from colornet.runs.provenance import provenance, write_json
from colornet.training.accelerator import choose_precision

__all__ = ["ERROR_UNIT", "accuracy", "adjust_chroma", "color_error", "cut_out", "degrade", "train_evaluator",
           "wrong_colors"]  # fmt: skip

DEGRADED = 0.25  # share of the images that are degraded
ERROR_UNIT = 10.0  # of the errors of color that the network learns, in units of CIELAB


def train_evaluator(config: EvaluatorOptions) -> None:
    """Train on the training images and write the network, its accuracy and its origin to `config.out`."""
    precision = choose_precision(TrainConfig(mixed_precision=config.mixed_precision, cpu=config.cpu))
    device = torch.device("cuda" if torch.cuda.is_available() and not config.cpu else "cpu")
    dataset, labels = labeled_cifar10(config.data, config.cache_dir)
    torch.manual_seed(config.seed)
    network = Cifar10Classifier(config.widths)
    network.fit_whitening(dataset.train[::9])
    network.to(device).to(memory_format=torch.channels_last)
    started = time.perf_counter()
    _train(network, config, dataset.train.to(device), labels.train.to(device), bf16=precision == "bf16")
    seconds = time.perf_counter() - started
    fit_statistics(network, dataset.train.to(device))
    network.eval()
    network.fit_scales(dataset.train.to(device))
    scores = {
        part: accuracy(network, getattr(dataset, part).to(device), getattr(labels, part).to(device))
        for part in ("validation", "test")
    }
    print(", ".join(f"{part}: {value:.2%}" for part, value in scores.items()))
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    file = config.out / f"cifar10-{config.name}.safetensors"
    with replacing(file) as path:
        save_file(weights, path)
    record = {
        "name": f"cifar10-{config.name}",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "config": {key: value for key, value in dataclasses.asdict(config).items() if not isinstance(value, Path)},
        "precision": precision,
        "accuracy": scores,
        "seconds": seconds,
        "data": {"name": dataset.name, "training_images": len(dataset.train), "fingerprint": dataset.fingerprint},
        **provenance(device),
    }
    write_json(file.with_suffix(".json"), record)


def _train(network: Cifar10Classifier, config: EvaluatorOptions, images: Tensor, labels: Tensor, *, bf16: bool) -> None:
    wrong = round(config.wrong * config.batch_size)

    def loss_of(batch: Tensor, classes: Tensor, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        shown = torch.cat((wrong_colors(batch[:wrong], batch[wrong:], rng), batch[wrong:]))
        errors = color_error(shown, batch)
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            class_logits, estimates = network(cut_out(degrade(shown, rng), config.cutout, rng))
        loss = F.cross_entropy(class_logits[wrong:].float(), classes[wrong:], label_smoothing=config.label_smoothing)
        loss = loss + F.smooth_l1_loss(estimates.float(), errors, beta=0.3)
        right = (class_logits[wrong:].argmax(1) == classes[wrong:]).float().mean()
        return loss, {"classes": right, "off": (estimates.float() - errors).abs().mean() * ERROR_UNIT}

    optimize(network, config, images, labels, loss_of)


def wrong_colors(images: Tensor, others: Tensor, rng: np.random.Generator) -> Tensor:
    """Keep the L* of uint8 images (N, 3, H, W) and spoil their a*b*, in one of four ways drawn for each image.

    The a*b* of one of the `others`; hues rotated by 60° to 300°; chroma times 0 (a quarter of this way) to 0.6; chroma
    times 1.5 to 2.5.
    """
    count = len(images)
    lab = rgb_to_lab(to_float(images))  # (N, 3, H, W)
    way = rng.integers(4, size=count)
    angle = np.where(way == 1, rng.uniform(np.pi / 3, 5 * np.pi / 3, count), 0)
    gain = np.choose(
        way, (np.ones(count), np.ones(count), rng.uniform(-0.2, 0.6, count).clip(0), rng.uniform(1.5, 2.5, count))
    )
    donors = others[torch.from_numpy(rng.integers(len(others), size=count)).to(images.device)]
    swap = torch.from_numpy(way == 0).to(images.device)[:, None, None, None]
    ab = torch.where(swap, rgb_to_lab(to_float(donors))[:, 1:], lab[:, 1:])  # (N, 2, H, W)
    return to_uint8(lab_to_rgb(torch.cat((lab[:, :1], adjust_chroma(ab, gain, angle)), dim=1)))


def degrade(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Degrade a quarter of uint8 images (N, 3, H, W) as nobody sees at their size: half the chroma resolution, noise.

    Chroma stays as it is, or is halved and enlarged to blocks or smoothly, in a third of them each; the noise of R, G
    and B has a standard deviation of 0 to 2 levels. Without this, such traces outweigh the colors themselves.
    """
    chosen = torch.from_numpy(rng.random(len(images)) < DEGRADED).to(images.device)
    lab = rgb_to_lab(to_float(images[chosen]))  # (n, 3, H, W)
    half = F.interpolate(lab[:, 1:], scale_factor=0.5, mode="area")  # (n, 2, H / 2, W / 2)
    size = images.shape[-2:]
    versions = torch.stack(
        (lab[:, 1:], F.interpolate(half, size=size, mode="nearest"), F.interpolate(half, size=size, mode="bilinear"))
    )  # (3, n, 2, H, W)
    which = torch.from_numpy(rng.integers(3, size=len(lab))).to(images.device)
    ab = versions[which, torch.arange(len(lab), device=images.device)]  # (n, 2, H, W)
    levels = rng.uniform(0, 2, (len(lab), 1, 1, 1)) * rng.standard_normal(tuple(lab.shape))
    noise = torch.from_numpy(levels.astype(np.float32)).to(images.device) / 255
    degraded = images.clone()
    degraded[chosen] = to_uint8(lab_to_rgb(torch.cat((lab[:, :1], ab), dim=1)) + noise)
    return degraded


def color_error(spoiled: Tensor, images: Tensor) -> Tensor:
    """Return how far uint8 images are from the true ones, both (N, 3, H, W), in color: (N, 3), in `ERROR_UNIT`s.

    The mean differences in a* and in b* and the mean distance in the a*b* plane, all over the pixels. Unlike the answer
    to "right or wrong?", it grows with what is wrong, and so do distances on the features of a network that learns it.
    """
    differences = (rgb_to_lab(to_float(spoiled)) - rgb_to_lab(to_float(images)))[:, 1:]  # (N, 2, H, W)
    distance = differences.square().sum(1, keepdim=True).sqrt()  # (N, 1, H, W)
    return torch.cat((differences, distance), dim=1).mean((2, 3)) / ERROR_UNIT


def cut_out(images: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """Gray out a square of `side` pixels at a random place of each uint8 image (N, 3, H, W): DeVries and Taylor 2017.

    The square may reach over the edge.
    """
    rows, columns = (
        torch.from_numpy(np.arange(length) - rng.integers(1 - side, length, (len(images), 1))).to(images.device)
        for length in images.shape[-2:]
    )  # (N, H), (N, W): distance from the square's first row and column
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]  # (N, H, W)
    return images.masked_fill(inside[:, None], 128)


def adjust_chroma(ab: Tensor, gain: np.ndarray, angle: np.ndarray) -> Tensor:
    """Multiply the chroma of a*b* (N, 2, H, W) by `gain` and turn its hue by `angle` (radians), (N,) each."""
    turn = np.stack((gain * np.cos(angle), gain * np.sin(angle)))  # (2, N)
    cos, sin = torch.from_numpy(turn).to(ab)[:, :, None, None]  # (N, 1, 1) each
    a, b = ab.unbind(1)  # (N, H, W)
    return torch.stack((cos * a - sin * b, sin * a + cos * b), dim=1)


@torch.no_grad()
def accuracy(network: Cifar10Classifier, images: Tensor, labels: Tensor, batch_size: int = 500) -> float:
    """Return the share of uint8 images (N, 3, H, W) whose class (N,) the network names, by the logits it measures."""
    right = [
        (network.measure(batch)[1].argmax(1) == classes).sum().item()
        for batch, classes in zip(images.split(batch_size), labels.split(batch_size), strict=True)
    ]
    return sum(right) / len(images)
