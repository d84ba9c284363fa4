"""The error that a speedrun ends at, its floors, and which targets are clearly better than those."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.speedrun.error import MARGIN_DB, check_target, decibels_below, held_out_mse, measure_floors
from colornet.errors import InputError
from colornet.metrics.image import image_metrics
from tests.benchmarks.cases import CPU, images


def test_error_is_that_of_the_metrics() -> None:
    truth = images(7)

    def colorize(batch: Tensor) -> Tensor:
        return (batch // 2).flip(1)

    expected = image_metrics(colorize(truth), truth)["mse"].mean().item()
    assert held_out_mse(colorize, truth, CPU, batch_size=3) == pytest.approx(expected, rel=1e-12)


def test_floors_are_the_input_and_the_best_constant() -> None:
    train, held_out = images(40), images(7)
    train[:, 0] //= 2
    held_out[:, 0] //= 2
    floors = measure_floors(train, held_out, CPU, batch_size=3)
    gray = train.double().mean(1, keepdim=True)
    solution = [torch.linalg.lstsq(torch.ones(gray.numel(), 1).double(), (train[:, [c]] - gray).reshape(-1, 1)).solution
                for c in range(3)]  # fmt: skip
    constant = torch.cat(solution).flatten()  # (3,)
    assert floors["input and constant"]["constant"] == pytest.approx((constant / 255).tolist(), abs=1e-6)
    mean = held_out.double().mean(1, keepdim=True)

    def error(predicted: Tensor) -> float:
        return float(((predicted.clamp(0, 255).round() - held_out.double()) / 255).square().mean())

    assert floors["input"]["mse"] == pytest.approx(error(mean), rel=1e-3)  # float32 rounds some halves the other way
    assert floors["input and constant"]["mse"] == pytest.approx(error(mean + constant[:, None, None]), rel=1e-3)
    assert floors["input and constant"]["mse"] < floors["input"]["mse"]


def test_target_must_be_clearly_better_than_the_best_floor() -> None:
    floors = {"worse": {"mse": 0.3}, "best": {"mse": 0.2}}
    assert decibels_below(0.02, floors) == pytest.approx(10)
    check_target(0.2 / 10 ** (MARGIN_DB / 10) * 0.9999, floors)
    with pytest.raises(InputError, match=r"0\.18000, but its input alone has 0\.30000 \(worse\) and 0\.20000 \(best\)"):
        check_target(0.18, floors)  # 0.46 dB
    with pytest.raises(InputError):
        check_target(0.0, {"gray images": {"mse": 0.0}})
