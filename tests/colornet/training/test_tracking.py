"""Trackers beside TensorBoard: what they are given, and that a training survives one that fails."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from colornet import train
from colornet.errors import InputError
from colornet.runs.run import Run
from colornet.runs.saved_config import differences, load_config
from colornet.training.build import compose_trainer
from colornet.training.tracking import Trackers
from tests.conftest import small


class Notes(GeneralTracker):  # type: ignore[misc]
    """A tracker in place of Trackio's that keeps what it is given, and fails after `most` points."""

    name = "trackio"
    requires_logging_directory = False
    most = 10**9
    runs: list[Notes]

    def __init__(self, project: str, **settings: Any) -> None:
        super().__init__(_blank=True)
        self.project, self.settings, self.finished = project, settings, False
        self.points: list[dict[str, float]] = []
        self.runs.append(self)

    @property
    def tracker(self) -> Any:
        return self

    def start(self) -> None: ...

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.options = values

    def log(self, values: dict[str, float], step: int | None = None, **_: Any) -> None:
        if len(self.points) >= self.most:
            raise ConnectionError("the network is gone")
        self.points.append({"step": step or 0, **values})

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> type[Notes]:
    monkeypatch.setattr(Notes, "runs", [], raising=False)
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "trackio", Notes)
    return Notes


def test_a_tracker_is_given_options_and_curves(notes: type[Notes], folder: Path, tmp_path: Path) -> None:
    config = small("ae", folder, tmp_path / "run", max_steps=6, track=("tensorboard", "trackio"))
    compose_trainer(config).fit()
    (tracker,) = notes.runs
    assert (tracker.project, tracker.settings["name"], tracker.finished) == ("colornet", "run", True)
    assert (tracker.options["width"], tracker.options["multipliers"]) == (8, "(1, 2)")
    assert tracker.points == Run(tmp_path / "run").records
    assert load_config(tmp_path / "run") == config
    assert not differences(config, dataclasses.replace(config, track=()))


def test_a_tracker_that_fails_is_given_up(
    notes: type[Notes], monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notes, "most", 1)
    compose_trainer(small("ae", folder, tmp_path / "run", max_steps=6, track=("trackio",))).fit()
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("--track trackio failed and is given up: the network is gone") == 1
    assert Run(tmp_path / "run").records[-1]["step"] == 6


def test_a_tracker_that_cannot_start_is_one_sentence(
    notes: type[Notes], monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    def refuse(self: Notes) -> None:
        raise ValueError("no key")

    monkeypatch.setattr(notes, "start", refuse)
    trainer = compose_trainer(small("ae", folder, tmp_path / "run", track=("trackio",)))
    with pytest.raises(InputError, match=r"--track trackio could not be started \(ValueError: no key\): log in"):
        Trackers(trainer.accelerator, trainer.config)


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_a_missing_package_is_one_sentence(
    name: Any, monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=f"--track {name} needs a package that is missing: install it with `pip inst"):
        train.check(small("ae", folder, tmp_path / "run", track=(name,)))
