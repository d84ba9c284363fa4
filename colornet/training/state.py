"""Collect everything that training changes, and restore it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from colornet.objectives import Objective
from colornet.runs.checkpoint import State

_MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam, for each parameter and of its shape, beside the count "step"


def training_state(accelerator: Accelerator, objective: Objective, ema: nn.Module) -> State:
    """Return what training changes, except the step: the tensors themselves, not copies."""
    tensors = {f"ema/{name}": value for name, value in ema.state_dict().items()}
    for name, network in objective.networks.items():
        weights = accelerator.unwrap_model(network).state_dict()
        tensors |= {f"networks/{name}/{key}": value for key, value in weights.items()}
    for name, optimizer in objective.optimizers.items():
        for index, parameter in enumerate(_parameters(optimizer)):
            # Before its first step, Adam has no state. As zeros it is the same: all states have the same names.
            state = optimizer.state.get(parameter) or _no_steps(parameter)
            tensors |= {f"optimizers/{name}/{index}/{key}": state[key] for key in ("step", *_MOMENTS)}
    return State({"scaler": accelerator.scaler.state_dict() if accelerator.scaler else None}, tensors)


def restore_state(
    accelerator: Accelerator, objective: Objective, ema: nn.Module, state: State, *, last_step: int
) -> None:
    """Restore what `training_state` returned, of a run that has done at most `last_step` updates.

    Raises `ValueError`, and changes nothing, for a state with other names, shapes or types, or impossible counts.
    """
    expected = training_state(accelerator, objective, ema)
    scaler = _checked_scaler(state.values.get("scaler"), expected.values["scaler"])
    _check_tensors(state.tensors, expected.tensors, last_step)
    ema.load_state_dict(_part(state.tensors, "ema/"))
    for name, network in objective.networks.items():
        accelerator.unwrap_model(network).load_state_dict(_part(state.tensors, f"networks/{name}/"))
    for name, optimizer in objective.optimizers.items():
        states = {
            index: _like_parameter(_part(state.tensors, f"optimizers/{name}/{index}/"), parameter)
            for index, parameter in enumerate(_parameters(optimizer))
        }
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    if scaler is not None:
        accelerator.scaler.load_state_dict(scaler)


def _parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    """Yield the parameters in the order of the indices of Adam's state."""
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


def _no_steps(parameter: Tensor) -> dict[str, Tensor]:
    zero = torch.zeros((), dtype=parameter.dtype, device=parameter.device)
    return {"step": torch.zeros((), dtype=torch.float32), **{name: zero.expand(parameter.shape) for name in _MOMENTS}}


def _like_parameter(values: Mapping[str, Tensor], parameter: Tensor) -> dict[str, Tensor]:
    """Lay moments out in memory as their parameter: fused Adam walks through all of them side by side."""
    return {
        "step": values["step"].clone(),
        **{name: torch.empty_like(parameter, requires_grad=False).copy_(values[name]) for name in _MOMENTS},
    }


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _check_tensors(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], last_step: int) -> None:
    if unknown := tensors.keys() - expected.keys():
        raise ValueError(f"it holds {min(unknown)!r}, which is no part of them")
    if missing := expected.keys() - tensors.keys():
        raise ValueError(f"it lacks {min(missing)!r}")
    for name, value in tensors.items():
        wanted = expected[name]
        if (value.shape, value.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(f"{name} is {_kind(value)} instead of {_kind(wanted)}")
        counts = name.startswith("optimizers/") and name.endswith("/step")
        if counts and not (0 <= value.item() <= last_step and value.item() % 1 == 0):
            raise ValueError(f"{name} is {value.item():g}, and must be one of 0 to {last_step}")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _checked_scaler(found: Any, expected: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the state of the scaler of fp16, of which the scale and the steps since its last change are taken.

    None if there is none on either side: the run goes on in another precision.
    """
    if found is None or expected is None:
        return None
    if not isinstance(found, dict) or found.keys() != expected.keys():
        raise ValueError("the state of the scaler of fp16 is none")
    scale, steps = found["scale"], found["_growth_tracker"]
    if not (isinstance(scale, float) and 0 < scale < math.inf and isinstance(steps, int) and steps >= 0):
        raise ValueError(f"the scale of fp16 is {scale!r} since {steps!r} steps")
    return {**expected, "scale": scale, "_growth_tracker": steps}
