"""A whole step: what it computes is what a plain step computes. On a CPU, all of it but the CUDA graph itself runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from colornet.errors import InputError
from colornet.objectives.base import GeneratorObjective
from colornet.training.build import compose_trainer
from colornet.training.state import training_state
from colornet.training.trainer import Trainer
from tests.conftest import small

CASES: list[tuple[str, dict[str, Any]]] = [
    ("ae", {}),
    ("cgan", {"r1_weight": 10.0, "noise_channels": 2, "accumulation_steps": 2}),
    ("cgan", {"relativistic": True, "spectral_norm": False, "r2_weight": 0.1}),
    ("flow", {}),
    ("notebook-cgan", {}),
]


def trained(steps: int, *arguments: Any, **changes: Any) -> Trainer:
    trainer = compose_trainer(small(*arguments, **changes))
    for _, microbatches in zip(range(steps), trainer.loader.epoch(0), strict=False):
        trainer.train_step(microbatches)
    return trainer


def tensors(trainer: Trainer) -> dict[str, torch.Tensor]:
    return training_state(trainer.accelerator, trainer.objective, trainer.ema).tensors


@pytest.mark.parametrize(("preset", "changes"), CASES)
def test_whole_steps_are_the_plain_ones(preset: str, changes: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    """But for rounding, which three steps do not enlarge: the first with a penalty, the others without."""
    plain, whole = (trained(3, preset, folder, tmp_path, whole_step=on, **changes) for on in (False, True))
    assert whole.whole_step is not None
    assert len(whole.whole_step.recorded) == (2 if changes.keys() & {"r1_weight", "r2_weight"} else 1)
    found, expected = tensors(whole), tensors(plain)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=2e-3, atol=2e-5, msg=name)
    sums = {name: value.item() for name, value in whole.metrics.sums.items()}
    assert sums == pytest.approx({name: value.item() for name, value in plain.metrics.sums.items()}, rel=1e-3)


def test_recording_changes_nothing(folder: Path, tmp_path: Path) -> None:
    trainer = compose_trainer(small("cgan", folder, tmp_path, whole_step=True))
    before = {name: value.clone() for name, value in tensors(trainer).items()}
    trainer.warm_up_ddp()
    assert trainer.whole_step is not None
    assert trainer.whole_step.recorded
    after = tensors(trainer)
    assert not [name for name, value in before.items() if not torch.equal(value, after[name])]


def test_a_run_of_whole_steps_resumes_to_the_last_bit(folder: Path, tmp_path: Path) -> None:
    """In the middle of an epoch, with the learning rates of its schedule in the log."""
    options: dict[str, Any] = {"whole_step": True, "log_every": 1, "epochs": 2}
    whole = compose_trainer(small("ae", folder, tmp_path / "whole", **options))
    whole.fit()
    config = small("ae", folder, tmp_path / "parts", resume="auto", **options)
    compose_trainer(dataclasses.replace(config, max_steps=5)).fit()
    parts = compose_trainer(config)
    parts.fit()
    expected, found = tensors(whole), tensors(parts)
    assert not [name for name, value in expected.items() if not torch.equal(value, found[name])]
    assert (tmp_path / "parts/metrics.jsonl").read_text().count('"lr/generator"') == 12


def test_what_cannot_be_recorded_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(GeneratorObjective, "alike")
    with pytest.raises(InputError, match="--whole-step is not for the objective reconstruction"):
        compose_trainer(small("ae", folder, tmp_path, whole_step=True))
