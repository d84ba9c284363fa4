"""Measure on photographs what the quality table does not cover: `python -m benchmarks photos --out photos.json`.

Upsampling: how near the true colors of five photographs come back when they are reduced to a network's scale and
upsampled along the edges of the lightness, by bilinear and by bicubic interpolation, and what that means for the
colors that models predict. Scans: how the colors of models change where the gray image is faded, noisy, blurred,
compressed or toned. Memory: what `colornet colorize` needs at its peak for large photographs. Writes one JSON and
prints its tables; benchmarks/README.md says what they show.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.checks import check_least, check_out, check_range
from colornet.colorize import check_model
from colornet.data.listing import check_dataset
from colornet.errors import InputError
from colornet.runs.pretrained import RELEASED
from colornet.runs.saved_config import load_config


@dataclass(frozen=True)
class PhotosOptions:
    """Which models are measured, on which images."""

    out: Path  # JSON file for the results; must not exist yet
    models: tuple[str, ...] = RELEASED  # released models, or folders of runs, that color L*
    sizes: tuple[int, ...] = (128, 256)  # shorter sides to which photographs are reduced, beside their own; pixels
    scales: tuple[int, ...] = (32, 64)  # shorter sides to which their true colors are reduced, pixels
    data: str = "cifar10"  # cifar10, or a folder with a copy of it, whose test images are degraded
    images: int = 3000  # use that many of them, evenly spaced
    megapixels: tuple[float, ...] = ()  # sizes of photographs for which peak memory is measured (Linux)
    batch_size: int = 500  # images in a step
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet


def check(options: PhotosOptions) -> None:
    """Raise `InputError` for invalid options, without importing torch."""
    # The smallest photograph has 300 pixels on its shorter side.
    check_range(options, scales=(8, 256), **({"sizes": (16, 300)} if options.sizes else {}))
    check_least(options, images=2, batch_size=1)
    if options.megapixels:
        check_range(options, megapixels=(0.1, 1000))
        if not Path("/proc/self/status").exists():
            raise InputError("--megapixels reads peaks of memory from /proc, which only Linux has: leave it out here.")
    find_models(options.models)
    check_dataset(options.data)
    check_out(options.out)


def find_models(models: tuple[str, ...]) -> dict[str, Path]:
    """Return the folders of models by their names; raise `InputError` for one that is missing or predicts RGB."""
    if not models:
        raise InputError("No model is named: give released ones or run folders to --models.")
    folders = [check_model(model) for model in models]
    for folder in folders:
        if load_config(folder).color_space != "lab":
            raise InputError(f"{folder} predicts RGB: name models that color L*, as the presets ae and cgan do.")
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise InputError(f"Two models have the same name ({', '.join(names)}): give each folder another name.")
    return dict(zip(names, folders, strict=True))
