"""Publish a trained model on the Hugging Face Hub: `colornet push runs/cgan OWNER/NAME`.

`Colorizer.load("hf:OWNER/NAME")` then loads it anywhere. Three files are uploaded: the weights, the configuration and
the model card, with the results of the last validation. Paths of this machine are left out. Log in before, with
`hf auth login`, or set HF_TOKEN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from colornet.command import run_command
from colornet.errors import InputError, printable
from colornet.hub import PREFIX, parse_hub_name


@dataclass(frozen=True)
class PushConfig:
    """Which run is published, and as what."""

    run: Annotated[Path, tyro.conf.Positional]  # folder of a finished run
    repo: Annotated[str, tyro.conf.Positional]  # OWNER/NAME of the model on the Hub, made if it does not exist
    license: str | None = None  # of the weights, as the Hub names it, such as mit or cc-by-nc-4.0
    private: bool = False  # make the model private, if it does not exist yet


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and publish; mistakes of the user end in one sentence and exit code 2."""
    run_command(PushConfig, publish, arguments, prog="colornet push", description=__doc__)


def publish(config: PushConfig) -> None:
    """Check the run, upload it and say where it is."""
    repo, revision = parse_hub_name(config.repo)
    if revision is not None:
        raise InputError(f"{config.repo!r} names a revision: give OWNER/NAME, whose main branch is written.")
    from colornet.runs.hub import check_finished, push

    run = check_finished(config.run)
    address = push(run, repo, license=config.license, private=config.private)
    print(printable(f'{config.run} is at {address}: Colorizer.load("{PREFIX}{repo}").'))


if __name__ == "__main__":
    main()
