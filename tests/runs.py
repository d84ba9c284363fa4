"""Run folders that several test files write."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from colornet.models.build import build_generator
from colornet.models.unet import UNet
from colornet.runs.checkpoint import State
from tests.conftest import small


def save_run(run: Path, preset: str = "ae", **changes: Any) -> Path:
    """Write a run whose generator is random, the head included: it predicts strong and varied colors."""
    torch.manual_seed(0)
    config = small(preset, Path("nowhere"), run, **changes)
    generator = build_generator(config)
    if config.residual:  # or the output starts as zero, gray
        for module in generator.modules():
            if isinstance(module, UNet) and isinstance(module.head, nn.Sequential):
                for parameter in module.head[-1].parameters():
                    nn.init.normal_(parameter, std=0.04)
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    save_file({name: value.contiguous() for name, value in generator.state_dict().items()}, run / "model.safetensors")
    return run


def describe(checkpoint: Path, version: int, names: Sequence[str]) -> None:
    """Write a manifest that is right for the files of a checkpoint, whatever they hold."""
    files = {}
    for name in names:
        content = (checkpoint / name).read_bytes()
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = {"format": version, "step": int(checkpoint.name.removeprefix("step-")), "files": files}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))


def nested(state: State) -> dict[str, Any]:
    """Arrange a state as checkpoints of format 1 did: dictionaries in dictionaries, Adam's by numbers."""
    found: dict[str, Any] = {name: state.values[name] for name in ("step", "data", "scaler")}
    for name, tensor in state.tensors.items():
        kind, *parents, last = name.split("/")
        if kind in ("networks", "ema", "optimizers"):
            inner = found.setdefault(kind, {})
            for parent in parents:
                inner = inner.setdefault(int(parent) if parent.isdecimal() else parent, {})
            inner[last] = tensor
    return found


def save_as_format_1(checkpoint: Path, content: object) -> None:
    """Write anything as the state of a checkpoint of format 1, with a valid manifest."""
    for path in checkpoint.iterdir():
        path.unlink()
    torch.save(content, checkpoint / "state.pt")
    describe(checkpoint, 1, ["state.pt"])
