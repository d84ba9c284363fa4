"""Time coloring of small images: `Colorizer` on batches against a loop that colors them one by one in fp32.

`python -m benchmarks inference --model cgan --data cifar10 --cpu` takes a released model or a run folder, and also says
how far the colors in bf16 are from those in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.checks import check_least, check_out
from colornet.data.listing import check_dataset
from colornet.runs.pretrained import find_model


@dataclass(frozen=True)
class InferenceOptions:
    """What is timed, how often, and where the numbers go."""

    model: str = "cgan"  # a released model, ae or cgan, or a run folder
    images: int = 256  # test images that a pass colors
    batch_sizes: tuple[int, ...] = (16, 64, 256)  # images that the network sees at a time
    passes: int = 7  # timed passes of each variant; one more before them is not timed
    data: str = "cifar10"  # cifar10, sample, or a folder of images
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the numbers; must not exist yet


def check(options: InferenceOptions) -> None:
    """Raise `InputError` for options that cannot be used."""
    check_least(options, batch_sizes=1, images=1, passes=1)
    find_model(options.model)
    check_dataset(options.data)
    check_out(options.out)
