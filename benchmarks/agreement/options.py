"""Check that fast training steps compute what plain ones do, on the device at hand: run this before timing it.

`python -m benchmarks agreement --presets ae cgan --out agreement.json` makes the same first steps of each preset in
fp32, in bf16, compiled, and as a whole step, and compares losses and norms of gradients. It exits with code 1 where a
first step differs by more than rounding explains.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from benchmarks.core.checks import check_least, check_not_empty, check_out
from benchmarks.core.presets import check_presets, sized_preset
from colornet.config import PRESETS, check_config
from colornet.data.listing import check_dataset

Variant = Literal["fp32 compiled", "fp32 whole step", "bf16", "bf16 compiled", "bf16 compiled whole step"]


@dataclass(frozen=True)
class AgreementOptions:
    """What is compared with plain fp32 steps, and on which images."""

    presets: tuple[str, ...] = tuple(PRESETS)  # presets of colornet.train
    variants: tuple[Variant, ...] = get_args(Variant)  # what is compared with plain steps in fp32
    batch_size: int = 64  # images per step
    steps: int = 3  # from the same weights; the first one is judged, the others show how differences grow
    width: int | None = None  # channels of the first level of every network
    blocks: int | None = None  # blocks per level of the residual generators
    data: str = "sample"  # cifar10, sample, or a folder of images
    image_size: int = 32  # side of the square images, pixels
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the numbers; must not exist yet


def check(options: AgreementOptions) -> None:
    """Raise `InputError` for options that cannot be used."""
    check_presets(options)
    check_not_empty(options, "variants")
    check_least(options, batch_size=1, steps=1, width=1, blocks=1)
    for preset in options.presets:
        check_config(sized_preset(options, preset))
    check_dataset(options.data)
    check_out(options.out)
