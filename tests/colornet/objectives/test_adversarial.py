"""The gradient penalty of the adversarial objective."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from colornet.objectives.adversarial import Adversarial
from colornet.objectives.base import Means, Sample
from colornet.runs.run import Run
from colornet.training.build import compose_trainer
from tests.conftest import small


def adversarial(folder: Path, run_dir: Path, **changes: object) -> Adversarial:
    objective = compose_trainer(small("cgan", folder, run_dir, **changes)).objective
    assert isinstance(objective, Adversarial)
    return objective


def test_gradient_penalty_is_the_squared_gradient_of_an_images_logit(folder: Path, tmp_path: Path) -> None:
    objective = adversarial(folder, tmp_path / "run", r1_weight=1.0)
    weight = torch.randn(2, 16, 16)
    objective.plain_discriminator = lambda _, color: torch.stack([(weight * color).sum((1, 2, 3))] * 4, 1)[
        ..., None, None
    ]
    gray, color = torch.randn(3, 1, 16, 16), torch.randn(3, 2, 16, 16)
    assert objective.gradient_penalty(gray, color).item() == pytest.approx(weight.square().sum().item(), rel=1e-5)


def test_gradient_penalty_is_in_full_precision_and_moves_the_discriminator(folder: Path, tmp_path: Path) -> None:
    gray, color = torch.randn(3, 1, 16, 16), torch.randn(3, 2, 16, 16)
    penalties = []
    for precision in ("no", "bf16"):
        AcceleratorState._reset_state()
        objective = adversarial(folder, tmp_path / precision, r1_weight=1.0, mixed_precision=precision)
        penalty = objective.gradient_penalty(gray, color)
        penalty.backward()
        penalties.append(penalty.item())
        # Of all but the last bias, which no gradient knows of.
        moved = [p.grad is not None and p.grad.any().item() for n, p in objective.discriminator.named_parameters()
                 if "original" in n]  # fmt: skip
        assert len(moved) == 5
        assert all(moved)
    AcceleratorState._reset_state()
    assert penalties[0] == penalties[1] > 0


@pytest.mark.parametrize("every", [16, 7])
def test_gradient_penalties_are_part_of_some_steps(every: int, folder: Path, tmp_path: Path) -> None:
    weights = {"r1_weight": 5.0, "r2_weight": 5.0, "penalty_every": every}
    trainer = compose_trainer(small("cgan", folder, tmp_path / "run", log_every=1, **weights))
    trainer.fit()
    for name in ("loss/r1", "loss/r2"):
        penalties = {line["step"]: line[name] for line in Run(tmp_path / "run").records if name in line}
        assert [step for step, value in penalties.items() if value > 0] == list(range(1, 19, every))
        assert len(penalties) == 18


def test_relativistic_losses_compare_colors_of_the_same_gray_image(folder: Path, tmp_path: Path) -> None:
    options = {
        "relativistic": True,
        "r1_weight": 0.5,
        "r2_weight": 0.3,
        "penalty_every": 4,
        "reconstruction_weight": 2.0,
    }
    objective = adversarial(folder, tmp_path / "run", spectral_norm=False, **options)
    discriminator = objective.discriminator
    assert not any("parametrizations" in name for name, _ in discriminator.named_parameters())
    gray, color, fake = torch.rand(5, 1, 16, 16), torch.randn(5, 2, 16, 16), torch.randn(5, 2, 16, 16)
    margin = discriminator(gray, color) - discriminator(gray, fake)  # (5, 1, 4, 4)
    sample, means = [Sample(gray, color, None)], Means(1)
    (plain,) = objective.discriminator_losses(sample, fake, means, penalized=False)
    assert plain.item() == pytest.approx(torch.log1p((-margin).exp()).mean().item(), rel=1e-5)
    (penalized,) = objective.discriminator_losses(sample, fake, Means(1), penalized=True)
    penalties = [4 * objective.gradient_penalty(gray, image).item() for image in (color, fake)]
    expected = plain.item() + 0.5 / 2 * penalties[0] + 0.3 / 2 * penalties[1]
    assert penalized.item() == pytest.approx(expected, rel=1e-5)
    (loss,) = objective.generator_losses(sample, fake, means)
    distance = (fake - color).abs().mean().item()
    assert loss.item() == pytest.approx(2 * distance + torch.log1p(margin.exp()).mean().item(), rel=1e-5)


def test_penalties_are_halved_where_the_loss_is(folder: Path, tmp_path: Path) -> None:
    objective = adversarial(folder, tmp_path / "run", r1_weight=0.5, r2_weight=0.3, penalty_every=4)
    gray, color, fake = torch.rand(5, 1, 16, 16), torch.randn(5, 2, 16, 16), torch.randn(5, 2, 16, 16)
    real_logits, fake_logits = objective.discriminator(gray, color), objective.discriminator(gray, fake)
    loss = (torch.log1p((-real_logits).exp()).mean() + torch.log1p(fake_logits.exp()).mean()).item() / 2
    penalties = [4 * objective.gradient_penalty(gray, image).item() for image in (color, fake)]
    expected = {False: loss, True: loss + 0.5 / 4 * penalties[0] + 0.3 / 4 * penalties[1]}
    for penalized, value in expected.items():
        (found,) = objective.discriminator_losses([Sample(gray, color, None)], fake, Means(1), penalized=penalized)
        assert found.item() == pytest.approx(value, rel=1e-5)


def test_gradient_penalty_makes_the_discriminator_flatter(folder: Path, tmp_path: Path) -> None:
    found = []
    for weight in (0.0, 100.0):
        trainer = compose_trainer(small("cgan", folder, tmp_path / str(weight), r1_weight=weight, lr=1e-9))
        (images,) = batch = next(trainer.loader.epoch(0))
        for _ in range(30):  # each a step of the penalty
            trainer.objective.training_step(batch, step=0)
        assert isinstance(trainer.objective, Adversarial)
        gray, color = trainer.space.encode(images / 255)
        found.append(trainer.objective.gradient_penalty(gray, color).item())
    assert found[1] < 0.5 * found[0]
