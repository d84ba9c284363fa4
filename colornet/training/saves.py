"""The checkpoints and the model of a run: all processes take part, and the first one writes."""

from __future__ import annotations

import logging
from collections.abc import Callable

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.objectives import Objective
from colornet.runs.checkpoint import State, find_checkpoint
from colornet.runs.model_card import write_model_card
from colornet.runs.run_dir import RunDir
from colornet.training.state import restore_state, training_state
from colornet.training.step_metrics import StepMetrics

logger = logging.getLogger(__name__)


class Saves:
    """Writes what a run has learned into its folder, and reads it when the run is resumed."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        run_dir: RunDir,
        objective: Objective,
        ema: nn.Module,
        metrics: StepMetrics,
        data: str,
    ) -> None:
        self.config = config
        self.accelerator = accelerator
        self.run_dir = run_dir
        self.objective = objective
        self.ema = ema
        self.metrics = metrics
        self.data = data  # fingerprint of the images

    def by_main_process(self, what: str, write: Callable[[], object]) -> None:
        """Let the first process write something; where it or the disk refuses, all processes raise the same error."""
        problem = None
        if self.accelerator.is_main_process:
            try:
                write()
            except InputError as error:
                problem = str(error)
            except OSError as error:
                problem = self.run_dir.refused(what, error)
        (problem,) = broadcast_object_list([problem])  # so that none waits for the first one forever
        if problem is not None:
            raise InputError(problem)

    def save(self, step: int) -> None:
        """Write a checkpoint and, beside it, the moving average as `model.safetensors`."""
        trained, metrics = training_state(self.accelerator, self.objective, self.ema), self.metrics.state()
        values = {"step": step, "data": self.data, "metrics": metrics.values, **trained.values}
        state = State(values, trained.tensors | metrics.tensors)
        self.by_main_process(f"The checkpoint of step {step}", lambda: self.run_dir.save(self.config, state))
        logger.info("The checkpoint of step %d is written.", step)

    def resume(self, most: int) -> int | None:
        """Load the newest good checkpoint of a run of at most so many steps; return its step, or None without one."""
        expected = training_state(self.accelerator, self.objective, self.ema).tensors
        limit = sum(tensor.nbytes + 2048 for tensor in expected.values()) + 2**20  # with names, and sums of curves
        path = find_checkpoint(self.run_dir.checkpoints, limit)
        if path is None:
            return None
        values, tensors = self.run_dir.load(path, self.config, self.data)
        step: int = values["step"]
        sums = {name: tensors.pop(name) for name in list(tensors) if name.startswith("metrics/")}
        try:
            if step > most:
                raise ValueError(f"its step is {step}, and the run has {most}")
            metrics = values.get("metrics")
            self.metrics.restore(None if metrics is None else State(metrics, sums), step)
            restore_state(self.accelerator, self.objective, self.ema, State(values, tensors), last_step=step)
        except (TypeError, AttributeError, ValueError) as error:
            found = f"The checkpoint {path} does not fit the networks of {self.run_dir.path} ({error})"
            raise InputError(f"{found}: remove it to resume from an older one.") from error
        return step

    def check_common(self, step: int) -> None:
        """Stop every process if one of them found another checkpoint, or none, under the same name."""
        steps = gather_object([step])
        if len(set(steps)) > 1:
            found = f"different steps ({', '.join(map(str, steps))})"
            advice = "must be the same folder for all of them, on a disk that they share"
            raise InputError(f"The processes would resume from {found}: --run-dir {self.run_dir.path} {advice}.")

    def complete(self, step: int) -> None:
        """Write what a finished run lacks, if it was killed at its very end, or if its model was damaged later."""
        state = training_state(self.accelerator, self.objective, self.ema)
        self.run_dir.repair_model(State({"step": step}, state.tensors))
        if not (self.run_dir.path / "README.md").exists():
            write_model_card(self.run_dir.path)
