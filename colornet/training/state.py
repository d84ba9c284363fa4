"""Collect everything that training changes, and restore it."""

from __future__ import annotations

from typing import Any

from accelerate import Accelerator
from torch import nn

from colornet.objectives import Objective


def training_state(accelerator: Accelerator, objective: Objective, ema: nn.Module) -> dict[str, Any]:
    """Return what training changes, except the step: dictionaries of plain values and of the tensors, not copies."""
    unwrap = accelerator.unwrap_model
    return {
        "networks": {name: unwrap(network).state_dict() for name, network in objective.networks.items()},
        "optimizers": {name: o.state_dict()["state"] for name, o in objective.optimizers.items()},
        "ema": ema.state_dict(),
        "scaler": accelerator.scaler.state_dict() if accelerator.scaler else None,
    }


def restore_state(accelerator: Accelerator, objective: Objective, ema: nn.Module, state: dict[str, Any]) -> None:
    """Restore what `training_state` returned."""
    for name, network in objective.networks.items():
        accelerator.unwrap_model(network).load_state_dict(state["networks"][name])
    for name, optimizer in objective.optimizers.items():
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state["optimizers"][name], "param_groups": groups})
    ema.load_state_dict(state["ema"])
    if accelerator.scaler and state["scaler"]:
        accelerator.scaler.load_state_dict(state["scaler"])
