"""Models by name: released ones, those of the Hub and runs; found without importing torch."""

from __future__ import annotations

import os
from pathlib import Path

from colornet.config import PRESETS, TrainConfig
from colornet.errors import InputError
from colornet.files import expanded, read_json, sha256_of
from colornet.hub import HubName, download_file, is_hub_name, parse_hub_name, repo_of
from colornet.runs.saved_config import check_weights, load_config

RELEASED = ("ae", "cgan")  # a run folder of that name is meant by ./cgan

# A folder for each name, written by `python -m benchmarks release`.
WEIGHTS = Path(__file__).resolve().parents[1] / "weights"

_LARGEST_RECORD = 2**20  # bytes

# Options that two configurations share if the weights of one generator fit into the other.
_SHAPE = ("color_space", "width", "multipliers", "blocks", "residual", "attention", "norm")


def is_model_name(model: str) -> bool:
    """Tell whether `find_model` knows a model by its name, and not by the path of its folder."""
    return model in RELEASED or is_hub_name(model)


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the folder of a released model, of one of the Hub (hf:OWNER/NAME, downloaded once) or of a run.

    Raises `InputError` if there is none.
    """
    if model in RELEASED:
        folder = WEIGHTS / model
        if not (folder / "model.safetensors").is_file():
            there = [name for name in RELEASED if (WEIGHTS / name / "model.safetensors").is_file()]
            lacking = f"does not come with this installation of colornet (it has: {', '.join(there) or 'none'})"
            advice = f"train one with `colornet train {model}` and give its run folder"
            raise InputError(f"Model {model!r} {lacking}: {advice}.")
        return folder
    if is_hub_name(model):
        return _download_run(model)
    folder = expanded(model)
    if not folder.is_dir():
        known = f"a released one ({', '.join(RELEASED)}), one of the Hub (hf:OWNER/NAME)"
        raise InputError(f"Model '{os.fspath(model)}' is neither {known} nor a run folder: give one of these.")
    return folder


def _download_run(name: str) -> Path:
    """Return the folder of a model on the Hub, in its cache: config.json and model.safetensors, and no other file.

    Raises InputError for a model that cannot be downloaded or is no run of colornet.
    """
    hub_name = parse_hub_name(name)
    folder = download_file(hub_name, "config.json").parent
    try:
        load_config(folder)
    except InputError as error:
        reason = error.__cause__ or error
        raise InputError(
            f"Model '{name}' is no run of this version of colornet: in its config.json, {reason}."
        ) from error
    # Of the same commit, whose name is that of the folder.
    return download_file(HubName(hub_name.repo, folder.name), "model.safetensors").parent


def check_init(config: TrainConfig) -> None:
    """Raise `InputError` if the generator of the run in --init-from does not fit; it may lack the noise input."""
    if config.init_from is None:
        return
    run_dir = find_model(config.init_from)
    origin = load_config(run_dir)
    check_weights(run_dir)
    names = [name for name in _SHAPE if getattr(origin, name) != getattr(config, name)]
    if bool(origin.flow_steps) != bool(config.flow_steps):
        names.append("flow_steps")
    if origin.noise_channels not in (0, config.noise_channels):
        names.append("noise_channels")
    if names:
        listed = (f"--{n.replace('_', '-')} is {getattr(origin, n)} there, not {getattr(config, n)}" for n in names)
        shape = f"another shape ({'; '.join(listed)})"
        raise InputError(f"The generator of --init-from {config.init_from} has {shape}: use its values.")


def find_run(run: Path) -> Path:
    """Return the folder of a run or a model; the name of a released one is meant where there is no such folder.

    Raises `InputError` for the name of a preset without released weights, and for a model that cannot be downloaded.
    What else a folder lacks is for its reader to say.
    """
    name = str(run)
    if is_hub_name(name):
        return find_model(name)
    if run.exists() or name not in PRESETS:
        return run
    if name not in RELEASED:
        raise InputError(f"'{run}' is a preset without released weights: train it, then name its run folder.")
    return find_model(name)


def run_name(folder: Path) -> str:
    """Return the name of a run, that of its folder; of a released model "cgan-released", of the Hub "OWNER/NAME"."""
    resolved = folder.resolve()
    released = resolved.parent == WEIGHTS
    return repo_of(resolved) or (f"{resolved.name}-released" if released else resolved.name)


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
