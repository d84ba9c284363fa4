"""Checks that the benchmarks share: each raises `InputError`, imports no torch and writes no file."""

from __future__ import annotations

import os
from pathlib import Path

from colornet.errors import InputError

__all__ = ["check_alone", "check_out", "option"]


def check_alone(what: str) -> None:
    """Refuse to be one of several processes that a launcher started; `what` says how many it takes."""
    if (processes := os.environ.get("WORLD_SIZE", "1")) != "1":
        raise InputError(f"{processes} processes were launched: {what}, start it without them.")


def check_out(out: Path | None, *, plot: bool = False) -> None:
    """Refuse a file that exists already or cannot be written; `plot`: also for the PNG beside it."""
    if out is None:
        return
    if out.exists():
        raise InputError(f"--out {out} exists already: choose another name or remove it.")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise InputError(f"--out {out} cannot be written to {parent}: choose a folder that you may write to.")
    if plot:
        if out.suffix == ".png":
            raise InputError(f"--out {out} is the name of the plot: give that of the JSON file.")
        check_out(out.with_suffix(".png"))


def option(name: str) -> str:
    """Return a field's name as it is written on the command line."""
    return f"--{name.replace('_', '-')}"
