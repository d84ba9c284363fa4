"""Speed counts training steps and nothing else."""

from __future__ import annotations

import time

import pytest
import torch

from colornet.training.clock import StepClock


def test_the_first_step_and_pauses_do_not_count() -> None:
    clock = StepClock(torch.device("cpu"))
    time.sleep(0.3)  # compilation
    clock.count(11)
    for step in range(12, 16):
        time.sleep(0.01)
        clock.count(step)
    with clock.paused():
        time.sleep(0.3)
    assert 4 / 0.2 < (clock.speed(15) or 0) <= 4 / 0.04


def test_there_is_no_speed_of_no_step() -> None:
    clock = StepClock(torch.device("cpu"))
    with clock.paused():
        pass
    clock.count(1)
    assert clock.speed(1) is None
    time.sleep(0.01)
    clock.count(2)
    assert clock.speed(2) == pytest.approx(100, rel=0.5)


def test_a_device_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its work before a pause belongs to training, that of the pause does not."""
    waits: list[str] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: waits.append(str(device)))
    clock = StepClock(torch.device("cuda:0"))
    clock.count(1)
    with clock.paused():
        assert waits == ["cuda:0"] * 2
    assert waits == ["cuda:0"] * 3
