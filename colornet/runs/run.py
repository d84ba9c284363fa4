"""Read a run folder; torch is imported only where networks are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from colornet.config import TrainConfig
from colornet.errors import InputError, printable
from colornet.files import read_bytes, read_json, sha256_of
from colornet.runs.pretrained import check_release
from colornet.runs.saved_config import check_weights, load_config

if TYPE_CHECKING:
    from colornet.models.build import Generator

_LARGEST_PROVENANCE, _LARGEST_METRICS = 2**24, 2**29  # bytes
_MOST = 1e300  # of a number in metrics.jsonl: sums of them stay finite


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
        if not path.exists():
            return None
        try:
            starts = read_json(path, _LARGEST_PROVENANCE)
        except ValueError:  # of the JSON, or of its characters
            starts = None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}; restore or remove it.") from error
        if not (isinstance(starts, list) and all(_is_start(start) for start in starts)):
            raise InputError(f"{path} is damaged: restore it, or remove it and with it the origin of the run.")
        return starts

    @cached_property
    def lines(self) -> list[dict[str, Any] | None]:
        """The lines of `metrics.jsonl`: the record of each, None for one that is damaged.

        Raises `InputError` for what cannot be read as a file.
        """
        path = self.path / "metrics.jsonl"
        try:
            text = read_bytes(path, _LARGEST_METRICS).decode(errors="replace") if path.exists() else ""
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}; restore or remove it.") from error
        return [_parse(line) for line in text.splitlines()]

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
        if step is not None and not re.fullmatch("[0-9]{1,18}", step):
            raise InputError(f"{self.weights} is damaged: it says that it was saved after step {printable(step, 20)}.")
        return None if step is None else int(step)

    @property
    def origin(self) -> dict[str, Any] | None:
        """Where the first weights come from, if from another run: its name, sha256 of its weights, steps, images."""
        return next((start["init_from"] for start in self.starts or [] if "init_from" in start), None)

    @property
    def images_before(self) -> int:
        """How many images the weights had seen before the first step: those of a warm start, or none."""
        return 0 if self.origin is None else self.origin["images"]

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
        with self._reading_weights():
            return sha256_of(self.weights)

    def load_generator(self) -> Generator:
        """Load the moving average of the generator for inference on the CPU; `InputError` for unusable weights."""
        import torch

        from colornet.models.build import build_generator
        from colornet.runs.tensor_file import read_tensors

        config = self.config
        with torch.device("meta"):  # takes no memory, whatever size the configuration claims
            generator = build_generator(config)
        with self._reading_weights():
            check_release(self.path)
            weights = read_tensors(self.weights, generator.state_dict())
            if unusable := [name for name, value in weights.items() if not value.isfinite().all()]:
                raise ValueError(f"{min(unusable)} holds infinity or NaN")
            generator.load_state_dict(weights, assign=True)
        return generator.float().to(memory_format=torch.channels_last).eval().requires_grad_(False)

    @contextmanager
    def _reading_weights(self) -> Iterator[None]:
        """Raise `InputError` if there is no `model.safetensors`, and for the errors of a damaged one."""
        check_weights(self.path)
        try:
            yield
        except (SafetensorError, RuntimeError, ValueError, OSError) as error:
            reason = str(error).partition("\n")[0] or "it is damaged"
            advice = "write it again by training with --resume auto"
            raise InputError(f"{self.weights} cannot be loaded: {reason}; {advice}.") from error


def _parse(line: str) -> dict[str, Any] | None:
    """Parse a line of `metrics.jsonl`: a step, and numbers or None by name. None for one that holds no record."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not _is(record.get("step"), int) or not 0 <= record["step"] < _MOST:
        return None
    if not all(value is None or (_is(value, int, float) and abs(value) < _MOST) for value in record.values()):
        return None
    return record


def _is_start(start: Any) -> bool:
    """Tell whether a record of `provenance.json` has fields of the right types, as far as they are read."""
    if not isinstance(start, dict):
        return False
    origin, versions = start.get("init_from"), start.get("versions", {})
    texts = [start.get(name) for name in ("command", "commit", "date", "device", "data", "approach")]
    return (
        all(text is None or isinstance(text, str) for text in texts)
        and _is(start.get("step", 0), int)
        and isinstance(versions, dict)
        and all(isinstance(version, str) for version in versions.values())
        and ("init_from" not in start or (isinstance(origin, dict) and _is(origin.get("images"), int)))
    )


def _is(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def load_run(run_dir: Path) -> tuple[TrainConfig, Generator]:
    """Load the configuration of a run folder and its generator, as `Run.load_generator` does."""
    run = Run(run_dir)
    return run.config, run.load_generator()
