"""The means of what steps return, and the first step that was not finite."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from colornet.evaluation.processes import connect
from colornet.runs.checkpoint import State
from colornet.training.step_metrics import StepMetrics


@pytest.fixture
def metrics() -> StepMetrics:
    return StepMetrics(connect(cpu=True))


def losses(value: float) -> dict[str, Tensor]:
    return {"loss/generator": torch.tensor(value), "grad_norm/generator": torch.tensor(2 * value)}


def test_a_point_is_the_mean_of_the_steps_since_the_last_one(metrics: StepMetrics) -> None:
    metrics.add(1, losses(1.0))
    metrics.add(2, losses(4.0))
    assert metrics.read(2, ends=False) == {"loss/generator": 2.5, "grad_norm/generator": 5.0}  # too early: it goes on
    metrics.add(3, losses(4.0))
    assert metrics.read(3, ends=True)["loss/generator"] == 3.0
    metrics.add(4, losses(7.0))
    assert metrics.read(4, ends=True)["loss/generator"] == 7.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_step_that_is_not_finite_is_named(bad: float, metrics: StepMetrics) -> None:
    metrics.add(1, losses(1.0))
    assert metrics.first_bad() is None
    for step, value in ((2, bad), (3, bad), (4, 1.0)):
        metrics.add(step, losses(value))
    assert metrics.first_bad() == 2


def test_sums_of_another_number_of_processes_become_their_mean(metrics: StepMetrics) -> None:
    sums = torch.tensor([[3.0, 1.0], [9.0, 5.0]])  # of two processes
    metrics.restore(State({"since": 4, "sums": ["loss/generator", "lr"]}, {"metrics/sums": sums}), step=6)
    assert metrics.read(6, ends=True) == {"loss/generator": 3.0, "lr": 1.5}
