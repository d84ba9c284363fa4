"""Speed counts training steps and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from colornet.training.clock import StepClock


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass: on a machine with other work, no sleep ends on time."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_the_first_step_and_pauses_do_not_count(wait: Callable[[float], None]) -> None:
    clock = StepClock(torch.device("cpu"))
    wait(30)  # compilation
    clock.count(11)
    for step in range(12, 16):
        wait(0.5)
        clock.count(step)
    with clock.paused():
        wait(30)
    assert clock.speed(15) == 2


def test_there_is_no_speed_of_no_step(wait: Callable[[float], None]) -> None:
    clock = StepClock(torch.device("cpu"))
    with clock.paused():
        wait(1)
    clock.count(1)
    assert clock.speed(1) is None
    wait(0.25)
    clock.count(2)
    assert clock.speed(2) == 4


def test_a_device_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its work before a pause belongs to training, that of the pause does not."""
    waits: list[str] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: waits.append(str(device)))
    clock = StepClock(torch.device("cuda:0"))
    clock.count(1)
    with clock.paused():
        assert waits == ["cuda:0"] * 2
    assert waits == ["cuda:0"] * 3
