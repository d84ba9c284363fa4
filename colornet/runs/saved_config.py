"""The `config.json` of a run folder: read it without torch, and compare it with a configuration that continues it."""

from __future__ import annotations

import dataclasses
import json
import reprlib
from pathlib import Path
from typing import Any, get_type_hints

from typeguard import TypeCheckError, check_type

from colornet.config import TrainConfig, check_values
from colornet.errors import InputError

# A resumed run may differ in these fields: they determine where and how it runs, not what it computes.
FREE_ON_RESUME = frozenset({
    "max_steps", "log_every", "eval_every", "compile", "activation_checkpointing", "cpu", "device_budget",
    "num_processes", "run_dir", "resume", "cache_dir", "hang_timeout", "profile", "dry_run",
})  # fmt: skip

# Options that two configurations share if the weights of one generator fit into the other.
_SHAPE = ("color_space", "width", "multipliers", "blocks", "residual", "attention", "norm")


def load_config(run_dir: Path, *, resuming: bool = False) -> TrainConfig:
    """Read the `config.json` of a run folder; `InputError` if there is none, or none that a run could have written.

    Training options that earlier versions had are dropped, or refused where the run is `resuming`.
    """
    path = run_dir / "config.json"
    if not path.is_file():
        raise InputError(f"{run_dir} is not a run folder: it holds no config.json; name one that training wrote.")
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        removed = _drop_removed(values)
        if removed and resuming:
            raise ValueError(f"this version cannot continue a training with {removed}")
        known = {field.name for field in dataclasses.fields(TrainConfig)}
        if unknown := values.keys() - known:
            raise ValueError(f"it has the unknown field {min(unknown)!r}, from another version perhaps")
        config = TrainConfig(**{**values, "multipliers": tuple(values["multipliers"])})
        for name, kind in get_type_hints(TrainConfig).items():
            _check_type(name, getattr(config, name), kind)
        check_values(config)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InputError) as error:
        reason = str(error).rstrip(".")
        advice = "restore it, or start again in another --run-dir"
        raise InputError(f"{path} cannot be used: {reason}; {advice}.") from error
    return config


def check_weights(run_dir: Path) -> None:
    """Raise `InputError` if a run folder holds no weights."""
    if not (run_dir / "model.safetensors").is_file():
        raise InputError(f"{run_dir} has no model.safetensors yet: train until its first checkpoint.")


def _drop_removed(values: dict[str, Any]) -> str | None:
    """Remove what earlier versions offered from a saved configuration; name what its training depended on."""
    if values.get("norm") == "none":
        raise ValueError("this version has no networks without normalization (--norm none)")
    dropped = None
    if diversity_weight := values.pop("diversity_weight", 0.0):
        dropped = f"--diversity-weight {diversity_weight}"
    if values.get("reconstruction_loss") == "huber":
        values["reconstruction_loss"] = TrainConfig.reconstruction_loss
        dropped = "--reconstruction-loss huber"
    return dropped


def _check_type(name: str, value: object, kind: Any) -> None:
    try:
        check_type(value, kind)
    except TypeCheckError as error:
        raise TypeError(f"{name} is {reprlib.repr(value)}, and {error}") from error


def check_init(config: TrainConfig) -> None:
    """Raise `InputError` if the generator of the run in --init-from does not fit; it may lack the noise input."""
    if config.init_from is None:
        return
    run_dir = Path(config.init_from)
    origin = load_config(run_dir)
    check_weights(run_dir)
    names = [name for name in _SHAPE if getattr(origin, name) != getattr(config, name)]
    if origin.noise_channels not in (0, config.noise_channels):
        names.append("noise_channels")
    if names:
        listed = (f"--{n.replace('_', '-')} is {getattr(origin, n)} there, not {getattr(config, n)}" for n in names)
        shape = f"another shape ({'; '.join(listed)})"
        raise InputError(f"The generator of --init-from {run_dir} has {shape}: use its values.")


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Describe the fields, other than those free on resume, in which two configurations differ, with both values."""
    names = (field.name for field in dataclasses.fields(TrainConfig) if field.name not in FREE_ON_RESUME)
    changed = [name for name in names if getattr(old, name) != getattr(new, name)]
    # These may have moved. The images are compared when they are read; a warm start is not repeated.
    for name in ("data", "objective", "init_from"):
        values = getattr(old, name), getattr(new, name)
        if name in changed and None not in values and Path(values[0]).name == Path(values[1]).name:
            changed.remove(name)
    return [f"--{name.replace('_', '-')} was {getattr(old, name)} and is {getattr(new, name)}" for name in changed]
