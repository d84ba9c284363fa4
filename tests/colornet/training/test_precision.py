"""A training step in bf16 and channels-last is the plain one, but for rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from colornet.training.build import compose_trainer
from tests.conftest import small

# Rounding to bf16 is 2 ** -9 of a value at most; it adds up over a dozen layers, and the discriminator's gradient is a
# difference between real and fake that is smaller than either. Difference of a loss, distance of the gradients of a
# network, relative to their size.
TOLERANCES = {"no": (1e-5, 1e-4), "bf16": (2e-2, 0.15)}


def step(preset: str, folder: Path, run_dir: Path, **changes: Any) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Make one step; return the losses, and the gradient of each network as one vector."""
    AcceleratorState._reset_state()
    trainer = compose_trainer(small(preset, folder, run_dir, max_grad_norm=None, **changes))
    for name, parameter in trainer.generator.named_parameters():
        if name.endswith("head.2.weight"):  # zero, it would hide what is below it
            nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(0))
    if not changes:  # the plain one; after the random numbers, which follow the order in memory
        for network in trainer.objective.networks.values():
            network.to(memory_format=torch.contiguous_format)
    (images,) = next(trainer.loader.epoch(0))
    gradients: dict[str, Tensor] = {}

    def note(name: str, network: nn.Module) -> None:
        gradients[name] = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    for name, prepared in trainer.objective.optimizers.items():
        network = trainer.objective.networks[name]
        optimizer: torch.optim.Optimizer = prepared.optimizer  # type: ignore[attr-defined]  # in Accelerate's
        optimizer.register_step_pre_hook(lambda *_, n=name, net=network: note(n, net))
    losses = trainer.objective.training_step([images], noise=trainer.loader.noise(0))
    AcceleratorState._reset_state()
    torch.compiler.reset()
    return {name: value.item() for name, value in losses.items() if "loss" in name}, gradients


def assert_alike(found: Any, expected: Any, precision: str) -> None:
    (losses, gradients), (true_losses, true_gradients) = found, expected
    of_losses, of_gradients = TOLERANCES[precision]
    assert losses.keys() == true_losses.keys()
    assert losses == pytest.approx(true_losses, rel=of_losses)
    assert gradients.keys() == true_gradients.keys()
    for name, gradient in gradients.items():
        size = true_gradients[name].norm()
        assert size > 1e-3
        assert (gradient - true_gradients[name]).norm() < of_gradients * size, name


@pytest.mark.parametrize("preset", ["ae", "cgan", "flow"])
def test_bf16_step_is_that_of_fp32(preset: str, folder: Path, tmp_path: Path) -> None:
    plain = step(preset, folder, tmp_path / "fp32")
    bf16 = step(preset, folder, tmp_path / "bf16", mixed_precision="bf16")
    assert_alike(bf16, plain, "bf16")
    assert bf16[0] != plain[0]
