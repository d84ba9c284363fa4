"""Experiment trackers beside TensorBoard, through Accelerate: Weights & Biases, Trackio, MLflow."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import LoggerType

from colornet.config import TrainConfig
from colornet.errors import InputError, printable

PROJECT = "colornet"

logger = logging.getLogger(__name__)


class Trackers:
    """The trackers of --track but for TensorBoard; only the first process may make and use them.

    Raises `InputError` if one of them cannot be started. One that fails later is given up with a warning: training goes
    on, and `metrics.jsonl` has everything.
    """

    def __init__(self, accelerator: Accelerator, config: TrainConfig) -> None:
        self.accelerator = accelerator
        names = [name for name in config.track if name != "tensorboard"]
        run = Path(config.run_dir).name
        settings = {"wandb": {"name": run}, "trackio": {"name": run, "resume": "allow"}, "mlflow": {"run_name": run}}
        options = {name: _plain(value) for name, value in dataclasses.asdict(config).items()}
        try:
            accelerator.log_with = [LoggerType(name) for name in names]
            accelerator.init_trackers(PROJECT, options, settings)
        except Exception as error:  # each has its own for a missing login or network
            accelerator.trackers = []
            reason = printable(f"{type(error).__name__}: {error}", 300)
            advice = "log in or go offline as its documentation says, or leave it out"
            raise InputError(f"--track {' '.join(names)} could not be started ({reason}): {advice}.") from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send a point of the curves."""
        for tracker in [*self.accelerator.trackers]:
            try:
                tracker.log(dict(values), step=step)
            except Exception as error:
                self.accelerator.trackers.remove(tracker)
                logger.warning("--track %s failed and is given up: %s", tracker.name, printable(str(error), 300))

    def close(self) -> None:
        """Send what is left."""
        for tracker in self.accelerator.trackers:
            try:
                tracker.finish()
            except Exception as error:
                logger.warning("--track %s failed at its end: %s", tracker.name, printable(str(error), 300))
        self.accelerator.trackers = []


def _plain(value: Any) -> Any:
    """Return a value that every tracker takes as a hyperparameter."""
    return value if isinstance(value, (bool, int, float, str)) else str(value)
