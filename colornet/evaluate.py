"""Compare runs on held-out images: `colornet evaluate runs/ae runs/cgan --out runs/comparison`.

The released models, ae and cgan, are named without a folder. The table holds the gray images and the truth, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from colornet.command import run_command
from colornet.config import LARGEST, require_option
from colornet.data.listing import check_dataset
from colornet.environment import check_environment, is_quiet, read_launch
from colornet.errors import InputError
from colornet.files import check_writable
from colornet.runs.pretrained import find_run
from colornet.runs.saved_config import load_config

WRITTEN = ("comparison.txt", "comparison.json", "comparison.png")  # in --out


@dataclass(frozen=True)
class EvaluateConfig:
    """Which runs to compare, on which images."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]  # runs' folders, released models (ae, cgan), hf:OWNER/NAME
    data: str | None = None  # cifar10, sample, a folder of images, or hf:OWNER/NAME; None: that of the runs
    split: Literal["test", "validation"] = "test"  # test is for final results: choose nothing by it
    out: Path | None = None  # folder for comparison.txt, comparison.json and comparison.png; must not hold them yet
    batch_size: int = 500  # images per process in a step
    all_grays: bool = False  # measure the gray images of channel mean and Rec. 601 luma, too
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and compare; mistakes of the user end in one sentence and exit code 2."""
    run_command(EvaluateConfig, evaluate, arguments, prog="colornet evaluate", description=__doc__, quiet=is_quiet())


def evaluate(config: EvaluateConfig) -> None:
    """Check the options and compare, on all processes that were launched."""
    check_environment(cpu=config.cpu)
    read_launch()
    runs, data = check(config)
    from colornet.evaluation.compare import compare
    from colornet.evaluation.processes import connected

    with connected(cpu=config.cpu) as accelerator:
        compare(
            runs,
            data,
            config.split,
            accelerator,
            batch_size=config.batch_size,
            all_grays=config.all_grays,
            cache_dir=config.cache_dir,
            out=config.out,
        )


def check(config: EvaluateConfig) -> tuple[list[Path], str]:
    """Raise `InputError` for options that cannot be used; return the folders of the models and the data set's name."""
    if not config.runs:
        raise InputError("No run is named: give the folder of at least one.")
    require_option(1 <= config.batch_size <= LARGEST, config, "batch_size", f"from 1 to {LARGEST:,}")
    runs = [*map(find_run, config.runs)]
    configs = [load_config(run) for run in runs]
    for name in ("image_size",) if config.data else ("data", "image_size"):
        values = {getattr(c, name) for c in configs}
        if len(values) > 1:
            listed = ", ".join(map(str, sorted(values)))
            raise InputError(f"The runs differ in {name} ({listed}): compare runs of one kind, or give --data.")
    data = config.data or configs[0].data
    check_dataset(data)
    if config.out is not None:
        _check_out(config.out)
    return runs, data


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file: choose a folder.")
    if found := next((name for name in WRITTEN if (out / name).exists()), None):
        raise InputError(f"--out {out} already holds {found}: choose another folder or remove it.")
    check_writable("--out", out, out)


if __name__ == "__main__":
    main()
