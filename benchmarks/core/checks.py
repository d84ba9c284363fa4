"""Checks of options that benchmarks share: each raises `InputError`, imports no torch and leaves no file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from colornet.config import LARGEST
from colornet.errors import InputError
from colornet.files import check_writable, unwritable


def check_above(options: Any, **bounds: float) -> None:
    """Refuse fields that are not above the bound of each; otherwise like `check_least`."""
    for name, bound in bounds.items():
        _refuse(name, (n for n in _numbers(options, name) if not bound < n), f"above {bound:g}")
        _refuse(name, (n for n in _numbers(options, name) if n > LARGEST), f"at most {LARGEST:g}")


def check_least(options: Any, **least: float) -> None:
    """Refuse fields below the least value of each; None passes; a tuple needs a value, and all of it is checked."""
    for name, low in least.items():
        _refuse(name, (n for n in _numbers(options, name) if not low <= n), f"at least {low:g}")
        _refuse(name, (n for n in _numbers(options, name) if n > LARGEST), f"at most {LARGEST:g}")


def check_range(options: Any, **bounds: tuple[float, float]) -> None:
    """Refuse fields outside the least and the largest value of each; otherwise like `check_least`."""
    for name, (low, high) in bounds.items():
        _refuse(name, (n for n in _numbers(options, name) if not low <= n <= high), f"from {low:g} to {high:g}")


def _numbers(options: Any, name: str) -> list[float]:
    check_not_empty(options, name)
    value = getattr(options, name)
    return [number for number in (value if isinstance(value, tuple) else (value,)) if number is not None]


def _refuse(name: str, wrong: Iterable[float], allowed: str) -> None:
    for number in wrong:
        raise InputError(f"{option(name)} is {number:g}: it must be {allowed}.")


def check_not_empty(options: Any, *names: str) -> None:
    """Refuse a tuple without values."""
    for name in names:
        if getattr(options, name) == ():
            raise InputError(f"{option(name)} is empty: name at least one.")


def check_fp16(options: Any) -> None:
    """Refuse fp16 where the options ask for the CPU."""
    if options.mixed_precision == "fp16" and options.cpu:
        raise InputError("--mixed-precision fp16 needs a GPU: choose bf16, no or auto.")


def check_out(out: Path | None, *, plot: bool = False) -> None:
    """Refuse a file that exists already or cannot be written; `plot`: also for the PNG beside it."""
    if out is None:
        return
    if _exists("out", out):
        raise InputError(f"--out {out} exists already: choose another name or remove it.")
    if plot:
        if out.suffix == ".png":
            raise InputError(f"--out {out} is the name of the plot: give that of the JSON file.")
        check_out(out.with_suffix(".png"))
    check_writable("--out", out, out.absolute().parent)


def check_out_folder(out: Path, files: Sequence[str] = ()) -> None:
    """Refuse a folder that is a file, that holds one of `files` already, or that cannot be written."""
    if _exists("out", out) and not out.is_dir():
        raise InputError(f"--out {out} is a file: choose a folder.")
    for name in files:
        if (out / name).exists():
            raise InputError(f"--out {out} already holds {name}: choose another folder or remove it.")
    check_writable("--out", out, out.absolute())


def check_new_folder(name: str, folder: Path | None, leftovers: Sequence[str] = ()) -> None:
    """Refuse a folder, the value of the option of that field, that is a file, holds anything or cannot be written.

    `leftovers` are the files that a measurement writes before its record: those of one that was interrupted may stay.
    """
    if folder is None:
        return
    if _exists(name, folder) and not (folder.is_dir() and all(_is_leftover(p, leftovers) for p in folder.iterdir())):
        raise InputError(f"{option(name)} {folder} exists already: choose another folder or remove it.")
    check_writable(option(name), folder, folder.absolute())


def _is_leftover(path: Path, leftovers: Sequence[str]) -> bool:
    """Tell whether a file has one of the names, or is what a killed process left while it wrote such a file."""
    return path.name in leftovers or path.name.startswith(tuple(f".{name}.part-" for name in leftovers))


def _exists(name: str, path: Path) -> bool:
    """Tell whether there is anything at a path; refuse one that cannot be looked up, such as a name too long."""
    try:
        return path.exists()
    except OSError as error:
        raise unwritable(option(name), path, error) from error


def check_file(path: Path | None, advice: str) -> None:
    """Refuse a path at which there is no file; `advice` says what to give instead."""
    if path is not None and not path.is_file():
        raise InputError(f"There is no file {path}: {advice}.")


def option(name: str) -> str:
    """Return a field's name as it is written on the command line."""
    return f"--{name.replace('_', '-')}"
