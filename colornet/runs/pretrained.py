"""The released models, which come with the package; found without importing torch."""

from __future__ import annotations

import os
from pathlib import Path

from colornet.config import PRESETS
from colornet.errors import InputError
from colornet.files import expanded, read_json, sha256_of

RELEASED = ("ae", "cgan")  # a run folder of that name is meant by ./cgan

WEIGHTS = (
    Path(__file__).resolve().parents[1] / "weights"
)  # a folder for each name, written by `python -m benchmarks release`

_LARGEST_RECORD = 2**20  # bytes


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the folder of a released model, given its name, or the run folder at a path; `InputError` if missing."""
    if model in RELEASED:
        folder = WEIGHTS / model
        if not (folder / "model.safetensors").is_file():
            there = [name for name in RELEASED if (WEIGHTS / name / "model.safetensors").is_file()]
            lacking = f"does not come with this installation of colornet (it has: {', '.join(there) or 'none'})"
            advice = f"train one with `colornet train {model}` and give its run folder"
            raise InputError(f"Model {model!r} {lacking}: {advice}.")
        return folder
    folder = expanded(model)
    if not folder.is_dir():
        known = f"a released one ({', '.join(RELEASED)})"
        raise InputError(f"Model '{os.fspath(model)}' is neither {known} nor a run folder: give one of the two.")
    return folder


def find_run(run: Path) -> Path:
    """Return the folder of a run, or of the released model of that name where there is no such folder.

    Raises `InputError` for the name of a preset without released weights. What else a folder lacks is for its reader to
    say.
    """
    if run.exists() or str(run) not in PRESETS:
        return run
    if str(run) not in RELEASED:
        raise InputError(f"'{run}' is a preset without released weights: train it, then name its run folder.")
    return find_model(str(run))


def run_name(folder: Path) -> str:
    """Return the name of a run, that of its folder; a released model is called one, as in "cgan-released"."""
    resolved = folder.resolve()
    return f"{resolved.name}-released" if resolved.parent == WEIGHTS else resolved.name


def check_release(folder: Path) -> None:
    """Raise `InputError` if a folder has a `release.json` that is damaged or describes another `model.safetensors`."""
    record = folder / "release.json"
    if not record.exists():
        return
    path = folder / "model.safetensors"
    try:
        expected = read_json(record, _LARGEST_RECORD)["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{record} is damaged and does not describe {path.name}: install colornet again.") from error
    if sha256_of(path) != expected:
        raise InputError(f"{path} is not the file that {record.name} describes: install colornet again.")
