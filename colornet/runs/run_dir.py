"""Write a run folder: its description, checkpoints and model; the logs are written elsewhere."""

from __future__ import annotations

import dataclasses
import errno
import logging
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.files import remove_leftovers, replacing, write_json, write_text
from colornet.runs.checkpoint import State, list_checkpoints, load_checkpoint, save_checkpoint
from colornet.runs.run import Run
from colornet.runs.saved_config import differences, parse_config, saved_options
from colornet.runs.tensor_file import read_tensors, write_tensors

logger = logging.getLogger(__name__)


class RunDir:
    """Writes what makes a run repeatable and resumable, and reads its state; only one process may write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.marker = path / "preempted"
        self.origin: dict[str, Any] | None = None  # of the first weights

    def begin(self, config: TrainConfig, start: dict[str, Any]) -> None:
        """Remove leftovers of earlier starts, and record this one and the configuration."""
        for folder in (self.path, self.path / "samples", self.path / "profile"):
            remove_leftovers(folder)
        self.marker.unlink(missing_ok=True)
        write_json(self.path / "config.json", dataclasses.asdict(config))
        write_json(self.path / "provenance.json", [*(Run(self.path).starts or []), start])
        self.origin = Run(self.path).origin

    def save(self, config: TrainConfig, state: State) -> None:
        """Write a checkpoint and its moving average, as `model.safetensors`; `OSError` if the disk is full."""
        self.require()
        # The model first: a run that is killed in between writes both again, one with its last checkpoint does not.
        self.save_model(state)
        values = {"options": saved_options(config), "origin": self.origin, **state.values}
        save_checkpoint(self.checkpoints, values["step"], State(values, state.tensors), config.keep_checkpoints)

    def save_model(self, state: State) -> None:
        """Write the moving average of a state as `model.safetensors`: the same bytes for the same weights and step."""
        weights = {name[4:]: value for name, value in state.tensors.items() if name.startswith("ema/")}
        with replacing(self.path / "model.safetensors") as path:
            write_tensors(path, weights, {"format": "pt", "step": str(state.values["step"])})

    def repair_model(self, state: State) -> None:
        """Write `model.safetensors` again unless it holds the moving average of a state."""
        weights = {name[4:]: value.cpu() for name, value in state.tensors.items() if name.startswith("ema/")}
        with suppress(OSError, ValueError, SafetensorError):  # missing or damaged
            found = read_tensors(self.path / "model.safetensors", weights)
            if all(torch.equal(value, found[name]) for name, value in weights.items()):
                return
        self.save_model(state)

    def require(self) -> None:
        """Raise `OSError` if the folder has gone: what is written would make another one, without its beginning."""
        if not (self.path / "config.json").exists():
            raise FileNotFoundError(errno.ENOENT, "the folder was removed or renamed during the training")

    def refused(self, what: str, error: OSError) -> str:
        """Return what to tell the user where the disk refused something."""
        if not (self.path / "config.json").exists() and error.errno == errno.ENOENT:
            gone = "the folder was removed or renamed during the training"
            return f"{what} cannot be written to {self.path}: {gone}; restore it, and continue with --resume auto."
        try:
            free = f"{shutil.disk_usage(self.path).free / 2**20:,.1f} MiB free there"
        except OSError:
            free = "the free space there is unknown"
        advice = "free some space or make the folder writable, and continue with --resume auto"
        reason = f"{error.strerror or error}, {free}"
        return f"{what} cannot be written to {self.path}: {reason}. Older checkpoints are intact: {advice}."

    def load(self, path: Path, config: TrainConfig, fingerprint: str) -> State:
        """Read a checkpoint of this run; `InputError` for other images, other options, another origin or another step.

        Earlier versions did not save the options.
        """
        state = load_checkpoint(path)
        values = state.values
        if values.get("data") != fingerprint:
            found = f"The images of --data {config.data} are not those that {self.path} was trained on"
            raise InputError(f"{found}: restore them, or start again in another --run-dir.")
        try:
            saved = parse_config(values["options"]) if "options" in values else config
            changed = differences(saved, config)
        except ValueError as error:
            saved, changed = config, [str(error)]
        origin = Run(self.path).origin  # None, too, if provenance.json was removed
        if origin is not None and values.get("origin") not in (None, origin):
            changed.append("it began with other weights of --init-from")
        step = values.get("step")
        if type(step) is not int or step != int(path.name.removeprefix("step-")):  # 2.0 == 2, and True == 1
            changed.append("it is that of another step")
        if changed:
            found = f"The checkpoint {path} is not of this run ({'; '.join(changed)})"
            raise InputError(f"{found}: remove it to resume from an older one.")
        if (before := saved.accumulation_steps) != (now := config.accumulation_steps):
            same = "the result will be the same except for rounding"
            logger.warning("--accumulation-steps was %d and is %d: %s.", before, now, same)
        return state

    def last_good(self) -> str:
        """Name the newest checkpoint in words."""
        saved = list_checkpoints(self.checkpoints)
        return f"the last good checkpoint is {saved[0]}" if saved else "there is no checkpoint yet"

    def mark_preempted(self, step: int) -> None:
        """Write a file that tells a job script to start the run again; the next start removes it."""
        write_text(self.marker, f"{step}\n")
