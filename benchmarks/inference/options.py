"""Time the coloring of small images: `Colorizer` on batches against a loop that colors them one by one in fp32.

`python -m benchmarks inference --model cgan --data cifar10 --cpu` takes a released model or a run folder, and also says
how far the colors in bf16 are from those in fp32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.core.checks import check_alone, check_out
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors
from colornet.runs.pretrained import find_model

__all__ = ["InferenceConfig", "check", "format_table", "main"]


@dataclass(frozen=True)
class InferenceConfig:
    """What is timed, how often, and where the numbers go."""

    model: str = "cgan"  # a released model, ae or cgan, or a run folder
    images: int = 256  # test images that a pass colors
    batch_sizes: tuple[int, ...] = (16, 64, 256)  # images that the network sees at a time
    passes: int = 7  # timed passes of each way; one more before them is not timed
    data: str = "cifar10"  # cifar10, sample, or a folder of images
    cache_dir: Path | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the numbers; must not exist yet


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print the table and write the JSON; mistakes of the user exit with code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(InferenceConfig, args=arguments, prog="python -m benchmarks inference", description=__doc__)
        check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.inference.measure import measure
        from colornet.files import write_json

        record = measure(config)
        print(format_table(record), flush=True)
        if config.out is not None:
            write_json(config.out, record)
            print(f"\nWritten to {config.out}")


def check(config: InferenceConfig) -> None:
    """Raise `InputError` for whatever would stop the measurement, without importing torch or touching a file."""
    check_alone("inference is measured in one")
    if not config.batch_sizes:
        raise InputError("--batch-sizes is empty: name at least one.")
    for name, value in (("images", config.images), ("batch-sizes", min(config.batch_sizes)), ("passes", config.passes)):
        if value < 1:
            raise InputError(f"--{name} is {value}: it must be at least 1.")
    find_model(config.model)
    check_dataset(config.data)
    check_out(config.out)


def format_table(record: dict[str, Any]) -> str:
    """Lay out a record as a table in Markdown, with the difference that bf16 makes below it."""
    lines = ["| way | precision | batch | images/s (p10–p90) | × loop |", "| --- | --- | ---: | ---: | ---: |"]
    for row in record["rows"]:
        precision = "fp32" if row["precision"] == "no" else row["precision"]
        speed = row["images_per_second"]
        spread = f"{speed['median']:,.0f} ({speed['p10']:,.0f}–{speed['p90']:,.0f})"
        lines.append(f"| {row['way']} | {precision} | {row['batch_size']} | {spread} | {row['ratio_to_loop']:.2f} |")
    difference = record["difference"]
    note = (
        f"bf16 changes 8-bit values by {difference['mean']:.3f} levels on average, at most {difference['largest']}; "
        f"{difference['share_above_1']:.3%} of them by more than 1."
    )
    return "\n".join([*lines, "", note])
