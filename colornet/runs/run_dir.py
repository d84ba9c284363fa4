"""Write a run folder: its description, checkpoints and model; the logs are written elsewhere."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.files import remove_leftovers, replacing, write_json, write_text
from colornet.runs.checkpoint import find_checkpoint, list_checkpoints, load_checkpoint, save_checkpoint
from colornet.runs.run import Run


class RunDir:
    """Writes what makes a run repeatable and resumable, and reads its state; only one process may write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.marker = path / "preempted"

    def begin(self, config: TrainConfig, start: dict[str, Any]) -> None:
        """Remove leftovers of earlier starts, and record this one and the configuration."""
        for folder in (self.path, self.path / "samples", self.path / "profile"):
            remove_leftovers(folder)
        self.marker.unlink(missing_ok=True)
        write_json(self.path / "config.json", dataclasses.asdict(config))
        write_json(self.path / "provenance.json", [*(Run(self.path).starts or []), start])

    def save(self, state: dict[str, Any], keep: int) -> None:
        """Write a checkpoint and its moving average, as `model.safetensors`; `OSError` if the disk is full."""
        # The model first: a run that is killed in between writes both again, one with its last checkpoint does not.
        weights: dict[str, Tensor] = {name: value.cpu().contiguous() for name, value in state["ema"].items()}
        with replacing(self.path / "model.safetensors") as path:
            path.write_bytes(save(weights, metadata={"format": "pt", "step": str(state["step"])}))
        save_checkpoint(self.checkpoints, state["step"], state, keep)

    def refused(self, what: str, error: OSError) -> str:
        """Return what to tell the user where the disk refused something."""
        try:
            free = f"{shutil.disk_usage(self.path).free / 2**20:,.1f} MiB free there"
        except OSError:
            free = "the free space there is unknown"
        advice = "free some space or make the folder writable, and continue with --resume auto"
        reason = f"{error.strerror or error}, {free}"
        return f"{what} cannot be written to {self.path}: {reason}. Older checkpoints are intact: {advice}."

    def load(self, config: TrainConfig, fingerprint: str) -> dict[str, Any] | None:
        """Read the newest good state, None if there is none; raise `InputError` if it is of other images."""
        path = find_checkpoint(self.checkpoints)
        if path is None:
            return None
        state = load_checkpoint(path)
        if state.get("data") != fingerprint:
            found = f"The images of --data {config.data} are not those that {self.path} was trained on"
            raise InputError(f"{found}: restore them, or start again in another --run-dir.")
        return state

    def last_good(self) -> str:
        """Name the newest checkpoint in words."""
        saved = list_checkpoints(self.checkpoints)
        return f"the last good checkpoint is {saved[0]}" if saved else "there is no checkpoint yet"

    def mark_preempted(self, step: int) -> None:
        """Write a file that tells a job script to start the run again; the next start removes it."""
        write_text(self.marker, f"{step}\n")
