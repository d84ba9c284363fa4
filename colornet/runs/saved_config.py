"""The `config.json` of a run folder: read it without torch, and compare it with a configuration that continues it."""

from __future__ import annotations

import dataclasses
import reprlib
from pathlib import Path
from typing import Any, get_type_hints

from typeguard import TypeCheckError, check_type

from colornet.config import TrainConfig, check_values, unused_options
from colornet.errors import InputError
from colornet.files import check_utf8, read_json

# A resumed run may differ in these fields: they determine where and how it runs, not what it computes.
FREE_ON_RESUME = frozenset({
    "max_steps", "log_every", "eval_every", "compile", "whole_step", "activation_checkpointing", "cpu", "device_budget",
    "num_processes", "run_dir", "resume", "cache_dir", "hang_timeout", "hang_exit", "profile", "dry_run", "save_every",
    "keep_checkpoints", "eval_batch_size", "track",
})  # fmt: skip

_LISTS = ("multipliers", "track")  # fields that are tuples, which JSON does not have
_LARGEST = 2**20  # bytes of a config.json


def load_config(run_dir: Path, *, resuming: bool = False) -> TrainConfig:
    """Read the `config.json` of a run folder; `InputError` if there is none, or none that a run could have written.

    Training options that earlier versions had are dropped, or refused where the run is `resuming`.
    """
    path = run_dir / "config.json"
    if not path.is_file():
        raise InputError(f"{run_dir} is not a run folder: it holds no config.json; name one that training wrote.")
    try:
        return parse_config(read_json(path, _LARGEST), resuming=resuming)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        advice = "restore it, or start again in another --run-dir"
        raise InputError(f"{path} cannot be used: {reason}; {advice}.") from error


def parse_config(values: Any, *, resuming: bool = False) -> TrainConfig:
    """Make a configuration of what was saved of one; fields that are missing get their defaults, except `multipliers`.

    Raises `ValueError` for anything that no run could have written, and where `load_config` refuses to resume.
    """
    try:
        if not isinstance(values, dict):
            raise ValueError("it is not a JSON object")
        values = dict(values)
        removed = _drop_removed(values)
        if removed and resuming:
            raise ValueError(f"this version cannot continue a training with {removed}")
        known = {field.name for field in dataclasses.fields(TrainConfig)}
        if unknown := values.keys() - known:
            raise ValueError(f"it has the unknown field {reprlib.repr(min(unknown))}, from another version perhaps")
        if "multipliers" not in values:
            raise ValueError("it lacks the field 'multipliers'")
        lists = {name: tuple(v) for name, v in values.items() if name in _LISTS and isinstance(v, (list, tuple))}
        config = TrainConfig(**{**values, **lists})
        for name, kind in get_type_hints(TrainConfig).items():
            _check_type(name, getattr(config, name), kind)
        check_values(config)
    except (TypeError, InputError) as error:
        raise ValueError(str(error)) from error
    return config


def saved_options(config: TrainConfig) -> dict[str, Any]:
    """Return the options that bind a checkpoint to its run: those that are not free on resume."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in FREE_ON_RESUME}


def check_weights(run_dir: Path) -> None:
    """Raise `InputError` if a run folder holds no weights, or is at a path at which they cannot be read."""
    check_utf8(run_dir)
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
        if isinstance(value, bool) and kind is not bool:  # which Python takes for a number
            raise TypeCheckError("it must be a number")
    except TypeCheckError as error:
        raise TypeError(f"{name} is {reprlib.repr(value)}, and {error}") from error


def has_batch_statistics(config: TrainConfig) -> bool:
    """Tell whether a network of the run has BatchNorm, whose results depend on the size of the micro-batches."""
    of_generator = not config.residual or config.norm == "batch"
    of_discriminator = config.discriminator == "dcgan" and "discriminator" not in unused_options(config)
    return of_generator or of_discriminator


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Describe the fields in which two configurations differ, with both values.

    Fields that are free on resume, or that neither objective uses, may differ.
    """
    free = FREE_ON_RESUME | (unused_options(old) & unused_options(new))
    names = (field.name for field in dataclasses.fields(TrainConfig) if field.name not in free)
    changed = [name for name in names if getattr(old, name) != getattr(new, name)]
    if "epochs" in changed and new.epochs > old.epochs and old.lr_schedule != "cosine":
        changed.remove("epochs")  # only the cosine depends on their number
    if "accumulation_steps" in changed and not has_batch_statistics(old):
        changed.remove("accumulation_steps")  # equal to rounding
    # These may have moved. The images are compared when they are read; a warm start is not repeated.
    for name in ("data", "objective", "init_from"):
        values = getattr(old, name), getattr(new, name)
        if name in changed and None not in values and Path(values[0]).name == Path(values[1]).name:
            changed.remove(name)
    return [f"--{name.replace('_', '-')} was {getattr(old, name)} and is {getattr(new, name)}" for name in changed]
