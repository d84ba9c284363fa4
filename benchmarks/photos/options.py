"""Measure on photographs what the table of quality does not see: `python -m benchmarks photos --out photos.json`.

Enlarging: how near the true colors of five photographs come back when they are reduced to a network's scale and
enlarged along the edges of the lightness, by bilinear and by bicubic interpolation, and what that means for the
colors that models predict. Scans: how the colors of models change where the gray image is faded, noisy, blurred,
compressed or toned. Memory: what `colornet colorize` needs at its peak for large photographs. Writes one JSON and
prints its tables; benchmarks/README.md says what they show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.core.checks import check_alone
from colornet.colorize import check_model
from colornet.config import load_config
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors
from colornet.runs.pretrained import RELEASED

__all__ = ["PhotosOptions", "check", "main"]


@dataclass(frozen=True)
class PhotosOptions:
    """Which models are measured, on which images."""

    out: Path  # JSON file for the results; must not exist yet
    models: tuple[str, ...] = RELEASED  # released models, or folders of runs, that color L*
    sizes: tuple[int, ...] = (128, 256)  # shorter sides to which photographs are reduced, beside their own; pixels
    scales: tuple[int, ...] = (32, 64)  # shorter sides to which their true colors are reduced, pixels
    data: str = "cifar10"  # cifar10, or a folder with a copy of it, whose test images are spoiled
    images: int = 3000  # use that many of them, evenly spaced
    megapixels: tuple[float, ...] = ()  # sizes of photographs for which peak memory is measured (Linux)
    batch_size: int = 500  # images in a step
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and measure; mistakes of the user end in one sentence and exit code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(PhotosOptions, args=arguments, prog="python -m benchmarks photos", description=__doc__)
        models = check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.photos.measure import study

        study(config, models)


def check(config: PhotosOptions) -> dict[str, Path]:
    """Raise `InputError` for whatever would stop the measurement; return the folders of the models by name."""
    check_alone("photographs are measured in one")
    # The smallest photograph has 300 pixels on its shorter side.
    for name, least, most in (("sizes", 16, 300), ("scales", 8, 256), ("megapixels", 0.1, 1000)):
        for value in getattr(config, name):
            if not least <= value <= most:
                raise InputError(f"--{name} has {value:g}: every number must be from {least:g} to {most}.")
    if not config.scales:
        raise InputError("--scales is empty: give at least one size.")
    if config.images < 2 or config.batch_size < 1:
        raise InputError("--images must be at least 2, and --batch-size at least 1.")
    if config.megapixels and not Path("/proc/self/status").exists():
        raise InputError("--megapixels reads peaks of memory from /proc, which only Linux has: leave it out here.")
    if not config.models:
        raise InputError("No model is named: give released ones or run folders to --models.")
    folders = [check_model(model) for model in config.models]
    for folder in folders:
        if load_config(folder).color_space != "lab":
            raise InputError(f"{folder} predicts RGB: name models that color L*, as the presets ae and cgan do.")
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise InputError(f"Two models have the same name ({', '.join(names)}): name each once, in folders of its own.")
    check_dataset(config.data)
    if config.out.exists():
        raise InputError(f"--out {config.out} exists already: choose another file or remove it.")
    return dict(zip(names, folders, strict=True))
