"""Checkpoints: folders of tensors and plain values with a manifest of hashes, complete or absent.

checkpoints/step-00001000/state.safetensors  the tensors, by names such as "networks/generator/stem.weight"
checkpoints/step-00001000/state.json         the plain values: step, options of the run, fingerprint of its images, …
checkpoints/step-00001000/manifest.json      format version, step, size and sha256 of both

Nothing is unpickled. Checkpoints of format 1, whose only file is state.pt, are read by `old_checkpoint`.
"""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from torch import Tensor

from colornet.errors import InputError, printable
from colornet.files import LARGEST_WEIGHTS, read_json, sha256_of, sync, write_json
from colornet.runs.old_checkpoint import STATE_PT, read_state_pt
from colornet.runs.tensor_file import read_tensors, write_tensors

FORMAT = 2
_TENSORS, _VALUES = "state.safetensors", "state.json"
_FILES = {1: {STATE_PT}, FORMAT: {_TENSORS, _VALUES}}
_LARGEST_JSON = 2**20  # bytes

logger = logging.getLogger(__name__)


class State(NamedTuple):
    """What a checkpoint holds: values that JSON can hold, and tensors by names with "/" between their parts."""

    values: dict[str, Any]
    tensors: dict[str, Tensor]


def list_checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints in a folder, good or not, newest first; folders of other names are none."""
    return sorted((path for path in folder.glob("step-*") if path.is_dir() and _step(path) >= 0), key=_step)[::-1]


def save_checkpoint(folder: Path, step: int, state: State, keep: int) -> Path:
    """Write the checkpoint of `step`, then remove all older ones but the newest, so that `keep` remain.

    Raises `OSError` if the disk is full. Where an old checkpoint cannot be removed, a warning says so. Newer ones are
    left alone: the run was resumed from before them, and will write them again.
    """
    final = folder / f"step-{step:08d}"
    temporary = folder / f".step-{step:08d}.tmp"
    for leftover in folder.glob(".step-*.tmp"):  # of processes that were killed
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        write_tensors(temporary / _TENSORS, state.tensors)
        sync(temporary / _TENSORS)
        write_json(temporary / _VALUES, state.values)
        files = {name: _described(temporary / name) for name in sorted(_FILES[FORMAT])}
        write_json(temporary / "manifest.json", {"format": FORMAT, "step": step, "files": files})
        if final.exists():  # damaged, or written before the run was resumed from an older one
            shutil.rmtree(final)
        temporary.rename(final)
        sync(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in [path for path in list_checkpoints(folder) if _step(path) <= step][keep:]:
        try:
            shutil.rmtree(old)
        except OSError as error:
            logger.warning("The old checkpoint %s cannot be removed: %s.", printable(str(old)), error.strerror)
    return final


def find_checkpoint(folder: Path, limit: int = LARGEST_WEIGHTS) -> Path | None:
    """Return the newest good checkpoint, or None if there is none; warn about each damaged one that is skipped.

    A checkpoint whose state has more than `limit` bytes counts as damaged. Raises `InputError` if there are checkpoints
    and all of them are damaged, or a newer colornet wrote the newest.
    """
    paths = list_checkpoints(folder)
    for path in paths:
        problem = _problem(path, limit)
        if problem is None:
            return path
        shown = printable(str(path)), printable(problem, 200)
        logger.warning("The checkpoint %s is damaged (%s); looking for an older one.", *shown)
    if paths:
        advice = "restore one, or start again in another --run-dir"
        raise InputError(f"All {len(paths)} checkpoints in {folder} are damaged: {advice}.")
    return None


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint that `find_checkpoint` found onto the CPU; no code in it is run.

    What it says is not checked. Raises `InputError` if it cannot be read as tensors and plain values.
    """
    try:
        if (path / STATE_PT).exists():
            return State(*read_state_pt(path / STATE_PT))
        values = read_json(path / _VALUES, _LARGEST_JSON)
        if not isinstance(values, dict):
            raise ValueError(f"{_VALUES} holds no values by name")
        return State(values, read_tensors(path / _TENSORS))
    except (OSError, ValueError, SafetensorError) as error:
        reason = f"was not written by colornet or has been tampered with ({printable(str(error), 200)})"
        raise InputError(f"The checkpoint {path} {reason}: remove it to resume from an older one.") from error


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _problem(path: Path, limit: int) -> str | None:
    """Name what is wrong with a checkpoint, comparing it with its manifest; None if nothing is."""
    try:
        manifest = read_json(path / "manifest.json", _LARGEST_JSON)
        version = int(manifest["format"])
        if version > FORMAT:  # an older checkpoint would silently lose progress
            newer = f"a newer colornet (format {version}, this one reads {FORMAT})"
            raise InputError(f"The checkpoint {path} was written by {newer}: update colornet to resume from it.")
        if set(manifest["files"]) != _FILES.get(version):
            return "its manifest does not list the files of its format and nothing else"
        if manifest["step"] != _step(path):
            return f"its manifest is that of step {manifest['step']}"
        for name, expected in manifest["files"].items():
            size = (path / name).stat().st_size
            if size != expected["bytes"]:
                return f"{name} has {size} of {expected['bytes']} bytes"
            if sha256_of(path / name, limit) != expected["sha256"]:
                return f"the sha256 of {name} is not that of the manifest"
    except OSError as error:
        return f"{Path(error.filename or path).name} cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        return f"its manifest or a file cannot be read: {error}"
    return None


def _step(path: Path) -> int:
    """Return the step in the name of a checkpoint, or -1 for another name."""
    return int(path.name[5:]) if re.fullmatch(r"step-[0-9]{8,18}", path.name) else -1
