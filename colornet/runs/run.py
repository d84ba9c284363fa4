"""Read a run folder; torch is imported only where networks are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.runs.pretrained import check_release
from colornet.runs.saved_config import check_weights, load_config

if TYPE_CHECKING:
    from colornet.models.unet import UNet


class Run:
    """The folder of a training, or of a model that was shared without its logs. Files are read when first needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.weights = path / "model.safetensors"

    @cached_property
    def config(self) -> TrainConfig:
        """The configuration of the training; `InputError` where it cannot be used."""
        return load_config(self.path)

    @cached_property
    def starts(self) -> list[dict[str, Any]] | None:
        """The records of `provenance.json`, one for each start; None if only the model was shared.

        Raises `InputError` for a damaged file.
        """
        path = self.path / "provenance.json"
        if not path.is_file():
            return None
        try:
            starts = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # of the JSON, or of its characters
            starts = None
        if not (isinstance(starts, list) and all(isinstance(start, dict) for start in starts)):
            raise InputError(f"{path} is damaged: restore it, or remove it and with it the origin of the run.")
        return starts

    @cached_property
    def lines(self) -> list[dict[str, Any] | None]:
        """The lines of `metrics.jsonl`: the record of each, None for one that is damaged."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        return [_parse(line) for line in lines]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of `metrics.jsonl`, without a last line that is incomplete; `InputError` for other damage."""
        if None in self.lines[:-1]:
            number = self.lines.index(None) + 1
            raise InputError(f"{self.path / 'metrics.jsonl'} is damaged in line {number}: remove the line.")
        return [record for record in self.lines if record is not None]

    @property
    def validations(self) -> list[dict[str, Any]]:
        """The records of the evaluations on the validation images."""
        return [record for record in self.records if "validation/cf" in record]

    @property
    def validation_curve(self) -> list[dict[str, Any]]:
        """The scores of each evaluation, by name, and the number of `images` that the weights had seen."""
        return [
            {"images": record["step"] * self.config.batch_size + self.images_before}
            | {name.removeprefix("validation/"): v for name, v in record.items() if name.startswith("validation/")}
            for record in self.validations
        ]

    @cached_property
    def step(self) -> int | None:
        """The number of updates after which the weights were saved; None where they do not say.

        Raises `InputError` if `model.safetensors` is missing or damaged.
        """
        with self._reading_weights(), safe_open(self.weights, "np") as file:
            step = (file.metadata() or {}).get("step")
        return None if step is None else int(step)

    @property
    def images_before(self) -> int:
        """How many images the weights had seen before the first step: those of a warm start, or none."""
        return next((int(start["init_from"]["images"]) for start in self.starts or [] if "init_from" in start), 0)

    @property
    def images_seen(self) -> int:
        """How many images the weights have seen, counting repetitions."""
        return (self.step or 0) * self.config.batch_size + self.images_before

    @property
    def approach(self) -> str:
        """What the model was trained as, such as "autoencoder". No code that the folder names is run."""
        recorded = (self.starts or [{}])[-1].get("approach")
        file, _, class_name = self.config.objective.rpartition(":")
        if recorded or file:
            return recorded or class_name
        from colornet.objectives.find import built_in_objective

        return built_in_objective(self.config.objective).description  # earlier versions did not record it

    @property
    def sha256(self) -> str:
        """The sha256 of the file of weights."""
        return hashlib.sha256(self.weights.read_bytes()).hexdigest()

    def load_generator(self) -> UNet:
        """Load the moving average of the generator for inference on the CPU; `InputError` for unusable weights."""
        import torch
        from safetensors.torch import load_file

        from colornet.models.build import build_generator

        config = self.config
        with torch.device("meta"):  # takes no memory, whatever size the configuration claims
            generator = build_generator(config)
        with self._reading_weights():
            check_release(self.path)
            generator.load_state_dict(load_file(self.weights), assign=True)
        return generator.float().to(memory_format=torch.channels_last).eval().requires_grad_(False)

    @contextmanager
    def _reading_weights(self) -> Iterator[None]:
        """Raise `InputError` if there is no `model.safetensors`, and for the errors of a damaged one."""
        check_weights(self.path)
        try:
            yield
        except (SafetensorError, RuntimeError, OSError) as error:
            reason = str(error).partition("\n")[0] or "it is damaged"
            advice = "write it again by training with --resume auto"
            raise InputError(f"{self.weights} cannot be loaded: {reason}; {advice}.") from error


def _parse(line: str) -> dict[str, Any] | None:
    """Parse a line of `metrics.jsonl`; None for one that holds no record."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def load_run(run_dir: Path) -> tuple[TrainConfig, UNet]:
    """Load the configuration of a run folder and its generator, as `Run.load_generator` does."""
    run = Run(run_dir)
    return run.config, run.load_generator()
