"""Download a data set before a job that has no network: `colornet fetch cifar10`.

`colornet train` on the same cache then finds it there. An interrupted download continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from colornet.command import run_command
from colornet.data.listing import default_cache_dir
from colornet.errors import InputError, printable
from colornet.hub import is_hub_name


@dataclass(frozen=True)
class FetchConfig:
    """What is downloaded, and where to."""

    data: Annotated[str, tyro.conf.Positional]  # data set: cifar10, or one of the Hub, hf:OWNER/NAME
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and download; mistakes of the user end in one sentence and exit code 2."""
    run_command(FetchConfig, fetch, arguments, prog="colornet fetch", description=__doc__)


def fetch(config: FetchConfig) -> None:
    """Download the data set unless it is there, check it, and say where it is."""
    cache_dir = config.cache_dir or default_cache_dir()
    if config.data == "cifar10":
        from colornet.data.cifar10 import fetch_cifar10

        fetch_cifar10(cache_dir, progress=True)
        print(printable(f"CIFAR-10 is in {cache_dir / 'cifar10'}."))
        return
    if is_hub_name(config.data):
        from colornet.data.hub import fetch_hub_dataset

        print(printable(f"{config.data} is in {fetch_hub_dataset(config.data, cache_dir, progress=True)}."))
        return
    if config.data == "sample":
        print("Data set 'sample' needs no download: it comes with scikit-image.")
        return
    raise InputError(f"{config.data!r} is no data set that is downloaded: name cifar10 or hf:OWNER/NAME.")


if __name__ == "__main__":
    main()
