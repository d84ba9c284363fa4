"""What a run says without a terminal: a line at once, then one a minute."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from colornet.config import TrainConfig
from colornet.training.build import compose_trainer
from colornet.training.progress import Progress, duration
from tests.conftest import small


def test_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    lines: list[str] = []
    progress = Progress(TrainConfig(epochs=10), 100, 1000, 100, lines.append, shows=True)
    for step in range(101, 400):
        now += 1
        progress.advance()
        if step % 50 == 0:
            values = {"loss/reconstruction": 0.0314, "lr/generator": 1e-3, "speed/images_per_second": 12345.6}
            progress.show(values | {"speed/peak_memory_gib": 2.04})
    assert len(lines) == 3  # at 150, 250 and 350: at 200, less than a minute had passed
    assert lines[0] == ("step 150 of 1000 (epoch 2 of 10): reconstruction 0.031, 12,346 images/s, 14 min left, 2.0 GiB")


def test_a_run_without_a_console_trains(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", None)
        context.setattr(sys, "stderr", None)
        compose_trainer(small("ae", folder, tmp_path / "run", max_steps=1)).fit()
    assert (tmp_path / "run" / "README.md").exists()


def test_other_processes_say_nothing() -> None:
    lines: list[str] = []
    progress = Progress(TrainConfig(), 0, 100, 10, lines.append, shows=False)
    progress.advance()
    progress.show({"loss/reconstruction": 0.5})
    assert not lines


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (3569, "59 min"), (3600 * 3 + 290, "3 h 05 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_run_without_a_terminal_is_seen_to_train(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compose_trainer(small("cgan", folder, tmp_path / "run", max_steps=4)).fit()
    text = capsys.readouterr().out
    losses = "discriminator [0-9.]+, reconstruction [0-9.]+, adversarial [0-9.]+, generator [0-9.]+"
    assert re.search(rf"^step 2 of 4 \(epoch 1 of 3\): {losses}, [0-9,]+ images/s, \d+ s left, ", text, re.MULTILINE)
