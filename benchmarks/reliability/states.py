"""What a training leaves behind, to be compared bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from colornet.runs.checkpoint import find_checkpoint, load_checkpoint


def final_state(run_dir: Path) -> dict[str, Any]:
    """Load a run's model and its newest checkpoint: networks, moving average, optimizers."""
    path = find_checkpoint(run_dir / "checkpoints")
    assert path is not None, f"{run_dir} has no checkpoint"
    return {"model": load_file(run_dir / "model.safetensors"), "checkpoint": load_checkpoint(path)._asdict()}


def same(first: Any, second: Any) -> bool:
    """Tell whether two states are equal to the last bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    return torch.equal(first, second) if isinstance(first, Tensor) else bool(first == second)
