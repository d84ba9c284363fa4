"""What a training leaves behind, to be compared bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from colornet.errors import printable
from colornet.runs.checkpoint import find_checkpoint, load_checkpoint


class FailedTrainingError(Exception):
    """A training that had to end well did not; the message says how. It becomes part of the record."""


def log_end(logs: Sequence[Path]) -> str:
    """Return the last line of each log that has one."""
    texts = [log.read_text(encoding="utf-8", errors="replace").strip() for log in logs if log.is_file()]
    return "; ".join(printable(text.splitlines()[-1], 500) for text in texts if text) or "no message"


def final_state(run_dir: Path) -> dict[str, Any]:
    """Load a run's model and its newest checkpoint: networks, moving average, optimizers.

    Raises `FailedTrainingError` where there is none.
    """
    path = find_checkpoint(run_dir / "checkpoints")
    if path is None:
        raise FailedTrainingError(f"{run_dir.name} has no checkpoint")
    return {"model": load_file(run_dir / "model.safetensors"), "checkpoint": load_checkpoint(path)._asdict()}


def same(first: Any, second: Any) -> bool:
    """Tell whether two states are equal to the last bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    return torch.equal(first, second) if isinstance(first, Tensor) else bool(first == second)
