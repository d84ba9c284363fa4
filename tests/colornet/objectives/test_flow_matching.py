"""What flow matching learns, and that samples of it are colors of the data rather than their mean."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from colornet.config import PRESETS, TrainConfig, check_config
from colornet.errors import InputError
from colornet.models.flow import SCALE, FlowUNet
from colornet.training.build import compose_trainer
from tests.conftest import small


def test_the_first_losses_are_those_of_no_color(folder: Path, tmp_path: Path) -> None:
    trainer = compose_trainer(small("flow", folder, tmp_path / "run"))
    (images,) = next(trainer.loader.epoch(0))
    (seeds,) = trainer.loader.noise(0) or []
    losses = trainer.objective.training_step([images], noise=[seeds])
    gray, color = trainer.space.encode(images / 255)
    low, generator = F.avg_pool2d(SCALE * color, 2), trainer.generator
    assert isinstance(generator, FlowUNet)
    start = trainer.config.flow_spread * generator.spatial(seeds, gray)
    assert losses["loss/mean"].item() == pytest.approx((SCALE * color).square().mean().item(), rel=1e-5)
    assert losses["loss/velocity"].item() == pytest.approx((low - start).square().mean().item(), rel=1e-5)


def test_samples_have_one_of_two_colors_where_the_mean_has_neither(tmp_path: Path, folder: Path) -> None:
    """All images are equally gray, and half of them orange, half blue, which is nearly the opposite of it."""
    changes = {"epochs": 60, "warmup_steps": 10, "lr": 3e-3, "ema_decay": 0.0, "flow_steps": 8, "attention": False}
    trainer = compose_trainer(small("flow", folder, tmp_path / "run", **changes))
    colors = torch.tensor([[180, 96, 60], [45, 125, 172]], dtype=torch.uint8)  # L* of 127 / 2.55
    images = colors[torch.arange(16) % 2, :, None, None].expand(-1, -1, 16, 16)
    for step in range(300):
        torch.manual_seed(step)
        trainer.objective.training_step([images], noise=[torch.randn(16, 2)])
    gray, color = trainer.space.encode(colors[:, :, None, None].expand(-1, -1, 16, 16) / 255)
    generator = trainer.generator.eval()
    with torch.no_grad():
        mean = generator.mean(gray[:1]) / SCALE
        samples = torch.cat([generator(gray[:1], generator.noise(gray[:1], number)) for number in range(40)])
    truth = color.mean((2, 3))  # (2, 2)
    middle, apart = truth.mean(0), (truth[0] - truth[1]).norm()
    assert (mean.mean((2, 3)) - middle).norm() < 0.15 * apart
    off = (samples.mean((2, 3))[:, None] - truth).norm(dim=2) / apart  # (40, 2)
    assert (off.amin(1) < 0.25).float().mean() > 0.8
    assert 8 <= (off.argmin(1) == 0).sum() <= 32


@pytest.mark.parametrize("objective", ["flow_matching", "mine.py:Mine"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flow_steps": 101}, "--flow-steps is 101: it must be at most 100"),
        ({"noise_channels": 0}, "--noise-channels is 0: it must be at least 1"),
        ({"color_space": "rgb"}, "--color-space is 'rgb': it must be lab"),
        ({"multipliers": (1,)}, "--multipliers is (1,): it must be two numbers or more"),
    ],
)
def test_a_flow_that_cannot_be_is_refused(
    objective: str, changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    """Whatever the objective: a configuration from anywhere may name a file, and its network is built to be loaded."""
    with pytest.raises(InputError) as error:
        check_config(small("flow", tmp_path, tmp_path / "run", objective=objective, **changes))
    assert words in str(error.value)


def test_flow_matching_needs_a_flow(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--flow-steps is 0: it must be at least 1"):
        check_config(small("flow", tmp_path, tmp_path / "run", flow_steps=0))


@pytest.mark.parametrize("preset", ["ae", "cgan", "notebook-ae"])
def test_other_objectives_have_no_flow(preset: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--flow-steps is 2: it must be 0"):
        check_config(small(preset, tmp_path, tmp_path / "run", flow_steps=2))
    assert PRESETS[preset].config.flow_steps == TrainConfig.flow_steps == 0
