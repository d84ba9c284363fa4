"""What a training leaves behind, to be compared bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from colornet.runs.checkpoint import find_checkpoint, load_checkpoint


def final_state(run_dir: Path) -> dict[str, Tensor]:
    """Flatten a run's model and newest checkpoint to tensors by name: networks, moving average, optimizers."""
    flat: dict[str, Tensor] = load_file(run_dir / "model.safetensors")

    def visit(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, child in value.items():
                visit(f"{prefix}/{key}", child)
        else:
            flat[prefix] = value if isinstance(value, Tensor) else torch.tensor([hash(value)])

    path = find_checkpoint(run_dir / "checkpoints")
    assert path is not None, f"{run_dir} has no checkpoint"
    visit("", load_checkpoint(path))
    return flat


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Tell whether two states are equal to the last bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
