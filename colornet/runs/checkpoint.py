"""Checkpoints: folders of tensors and plain values with a manifest of hashes, complete or absent.

checkpoints/step-00001000/state.pt       nested dicts of tensors and plain values, read with `weights_only=True`
checkpoints/step-00001000/manifest.json  format version, step, size and sha256 of every file
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from colornet.errors import InputError
from colornet.files import sync, write_json

FORMAT = 1
_STATE = "state.pt"

logger = logging.getLogger(__name__)


def list_checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints in a folder, good or not, newest first."""
    return sorted((path for path in folder.glob("step-*") if path.is_dir()), key=_step, reverse=True)


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write the checkpoint of `step`, then remove all but the `keep` newest; `OSError` if the disk is full."""
    final = folder / f"step-{step:08d}"
    temporary = folder / f".step-{step:08d}.tmp"
    for leftover in folder.glob(".step-*.tmp"):  # of processes that were killed
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        written = temporary / _STATE
        _write(state, written)
        files = {written.name: {"bytes": written.stat().st_size, "sha256": _sha256(written)}}
        write_json(temporary / "manifest.json", {"format": FORMAT, "step": step, "files": files})
        if final.exists():  # damaged, or written before the run was resumed from an older one
            shutil.rmtree(final)
        temporary.rename(final)
        sync(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in list_checkpoints(folder)[keep:]:
        shutil.rmtree(old)
    return final


def find_checkpoint(folder: Path) -> Path | None:
    """Return the newest good checkpoint, or None if there is none; warn about each damaged one that is skipped.

    Raises `InputError` if there are checkpoints and all of them are damaged, or a newer colornet wrote the newest.
    """
    paths = list_checkpoints(folder)
    for path in paths:
        problem = _problem(path)
        if problem is None:
            return path
        logger.warning("The checkpoint %s is damaged (%s); looking for an older one.", path, problem)
    if paths:
        advice = "restore one, or start again in another --run-dir"
        raise InputError(f"All {len(paths)} checkpoints in {folder} are damaged: {advice}.")
    return None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; `InputError` if it holds anything but tensors and plain values, such as code."""
    try:
        state: dict[str, Any] = torch.load(path / _STATE, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = "was not written by colornet or has been tampered with"
        raise InputError(f"The checkpoint {path} {reason}: remove it to resume from an older one.") from error
    return state


def _write(state: dict[str, Any], path: Path) -> None:
    """Write a file with `torch.save` and wait until it is on disk."""
    try:
        with path.open("wb") as file:
            torch.save(state, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch says "unexpected pos 896 vs 824" of a full disk
            raise error.__context__ from None
        raise
    sync(path)


def _problem(path: Path) -> str | None:
    """Name what is wrong with a checkpoint, comparing it with its manifest; None if nothing is."""
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        version = int(manifest["format"])
        if version > FORMAT:  # an older checkpoint would silently lose progress
            newer = f"a newer colornet (format {version}, this one reads {FORMAT})"
            raise InputError(f"The checkpoint {path} was written by {newer}: update colornet to resume from it.")
        if version < FORMAT:
            return f"its format is {version}, this version reads {FORMAT}"
        if set(manifest["files"]) != {_STATE}:
            return f"its manifest does not list {_STATE} and nothing else"
        expected, size = manifest["files"][_STATE], (path / _STATE).stat().st_size
        if size != expected["bytes"]:
            return f"{_STATE} has {size} of {expected['bytes']} bytes"
        if _sha256(path / _STATE) != expected["sha256"]:
            return f"the sha256 of {_STATE} is not that of the manifest"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"its manifest or a file cannot be read: {error}"
    return None


def _step(path: Path) -> int:
    digits = path.name.removeprefix("step-")
    return int(digits) if digits.isdecimal() else -1


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
