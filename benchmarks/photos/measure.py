"""The measurements behind `python -m benchmarks photos`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from benchmarks.core.record import Record, start_record
from benchmarks.photos.degradations import DEFECTS, Defect, degrade
from benchmarks.photos.options import PhotosOptions, find_models
from benchmarks.photos.upsampling_study import join, measure_upsampling, photo, predict, reduce, upsample
from colornet.bar import Bar
from colornet.color import lightness_input, rgb_to_lab, to_float
from colornet.data import load_dataset
from colornet.data.sample import sample_photos
from colornet.evaluation.loop import gray_floor, map_images
from colornet.evaluation.processes import connect
from colornet.inference.colorizer import Colorizer
from colornet.metrics.distribution import frechet_distance
from colornet.metrics.evaluator import evaluator_card, load_evaluator
from colornet.metrics.image import ciede2000, colorfulness
from colornet.metrics.precision import full_precision

# What a fresh process runs to color a photograph and tell its peak memory. It may inherit no peak: a child's resource
# usage begins with that of its parent.
_MEMORY = """
import sys
from colornet.colorize import main
main(sys.argv[1:])
from benchmarks.core.memory import read_peak
print(read_peak())
"""


def measure(options: PhotosOptions) -> Record:
    """Measure upsampling, scans and memory; return the record."""
    models = find_models(options.models)
    accelerator = connect(cpu=options.cpu)
    dataset = load_dataset(options.data, image_size=32, cache_dir=options.cache_dir, progress=True)
    colorizers = {name: Colorizer.load(folder, accelerator.device) for name, folder in models.items()}
    photos = sample_photos()
    images = dataset.test[torch.linspace(0, len(dataset.test) - 1, min(options.images, len(dataset.test))).long()]
    upsampling = {}
    for size in Bar((*options.sizes, None), desc="Upsampling", unit="size"):
        found = [measure_upsampling(photo(image, size), options.scales, colorizers) for image in photos.values()]
        upsampling["full" if size is None else str(size)] = {
            row: {key: statistics.mean(one[row][key] for one in found) for key in found[0][row]} for row in found[0]
        }
    full = [photo(image, None) for image in photos.values()]
    return {
        **start_record("photos", accelerator.device, options),
        "data": {
            "name": dataset.name,
            "split": "test",
            "images": len(images),
            "fingerprint": dataset.fingerprint,
            "photos": {name: image.size for name, image in photos.items()},
        },
        "models": {name: (folder / "model.safetensors").stat().st_size for name, folder in models.items()},
        "evaluator": evaluator_card("v2")["sha256"],
        "enlarging": upsampling,
        "defects": {name: about for name, (about, _) in DEFECTS.items()},
        "gray": {
            "e": 1.0,
            "cf": colorfulness(gray_floor(images)).mean().item(),
            "ciede2000": _difference(gray_floor(images), images),
        },
        "scans": _scans(images, full, colorizers, accelerator, options.batch_size),
        "memory": [_memory(size, next(iter(models.values()))) for size in options.megapixels],
    }


def _scans(
    images: Tensor, photos: list[Tensor], colorizers: dict[str, Colorizer], accelerator: Accelerator, batch_size: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Color the degraded images and photographs with every model: model, defect, measure."""
    evaluator = load_evaluator("v2").to(accelerator.device)

    def features(pixels: Tensor) -> Tensor:
        with full_precision(accelerator.device):
            found = map_images(
                lambda x: {"features": evaluator.features(x)}, pixels, accelerator, batch_size=batch_size
            )
        return found["features"].double()

    truth = features(images)
    floor = frechet_distance(features(gray_floor(images)), truth)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for model, colorizer in colorizers.items():
        found[model] = {}
        for name, (_, defect) in Bar(DEFECTS.items(), desc=f"Scans, {model}", unit="defect"):
            batches = (to_float(batch) for batch in images.split(batch_size))
            saved = torch.cat([_color(colorizer, rgb, defect, images.shape[-1]) for rgb in batches])
            on_photos = [_color(colorizer, rgb, defect, colorizer.image_size) for rgb in photos]
            if name == "clean":  # the first
                clean, clean_photos = saved, on_photos
            found[model][name] = {
                "e": frechet_distance(features(saved), truth) / floor,
                "cf": colorfulness(saved).mean().item(),
                "ciede2000": _difference(saved, images),
                "moved": _difference(saved, clean),
                "moved_photos": statistics.mean(map(_difference, on_photos, clean_photos)),
            }
    return found


def _color(colorizer: Colorizer, rgb: Tensor, defect: Defect, shorter_side: int) -> Tensor:
    """Color degraded images, sRGB (n, 3, H, W), at a scale, then give them their own L* of 8 bits."""
    clean = lightness_input(rgb)
    degraded = degrade(clean[:, :1], defect)
    small = reduce(degraded, shorter_side, colorizer.multiple)
    guides = rgb_to_lab(small)[:, :1], rgb_to_lab(degraded)[:, :1]
    return join(rgb_to_lab(clean)[:, :1], upsample("guided", predict(colorizer, small), *guides))


def _difference(pixels: Tensor, others: Tensor) -> float:
    """Return the mean ΔE00 between two sets of uint8 images (N, 3, H, W)."""
    pairs = zip(pixels.split(500), others.split(500), strict=True)
    sums = [ciede2000(rgb_to_lab(to_float(a)), rgb_to_lab(to_float(b))).mean((1, 2)).sum().item() for a, b in pairs]
    return sum(sums) / len(pixels)


def _memory(megapixels: float, model: Path) -> dict[str, float]:
    """Let a fresh process color a JPEG of 3:2 with a model on the CPU: size, peak bytes, seconds."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(1.5 * height)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        sample_photos()["coffee"].resize((width, height), Image.Resampling.BICUBIC).save(path)
        command = [sys.executable, "-c", _MEMORY, str(path), "--out", f"{folder}/out", "--cpu", "--model", str(model)]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
        seconds = time.perf_counter() - start
    peak = int(done.stdout.split()[-1])
    return {"megapixels": width * height / 1e6, "peak_memory_bytes": peak, "seconds": seconds}
