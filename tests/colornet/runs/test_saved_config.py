"""The configuration of a run: what it is read from, and what may differ when it is resumed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from colornet.config import PRESETS, TrainConfig
from colornet.errors import InputError
from colornet.runs.saved_config import FREE_ON_RESUME, differences, load_config


def test_differences_name_field_and_both_values() -> None:
    old = TrainConfig()
    new = dataclasses.replace(old, lr=0.5, max_steps=7, run_dir="elsewhere")
    assert differences(old, new) == ["--lr was 0.001 and is 0.5"]
    assert {field.name for field in dataclasses.fields(TrainConfig)} >= FREE_ON_RESUME


def test_a_data_set_is_the_same_wherever_it_lies() -> None:
    old = TrainConfig(data="here/photos")
    assert differences(old, dataclasses.replace(old, data="/elsewhere/photos", lr=0.5)) == ["--lr was 0.001 and is 0.5"]
    warm = dataclasses.replace(old, init_from="/here/runs/ae-0")
    assert differences(warm, dataclasses.replace(warm, init_from="/elsewhere/runs/ae-0")) == []
    assert differences(warm, old) == ["--init-from was /here/runs/ae-0 and is None"]
    assert differences(old, TrainConfig(data="here/prints")) == ["--data was here/photos and is here/prints"]


def test_a_run_may_be_resumed_with_activation_checkpointing() -> None:
    old = TrainConfig()
    assert differences(old, dataclasses.replace(old, activation_checkpointing=True)) == []


@pytest.mark.parametrize("preset", ["ae", "flow"])
def test_a_run_may_be_resumed_with_what_changes_no_weight(preset: str) -> None:
    old = dataclasses.replace(PRESETS[preset].config, discriminator="dcgan")  # which neither trains
    free: dict[str, Any] = {"save_every": 7, "keep_checkpoints": 9, "eval_batch_size": 3, "accumulation_steps": 4}
    assert differences(old, dataclasses.replace(old, **free)) == []


@pytest.mark.parametrize(
    ("preset", "changes"),
    [("notebook-ae", {}), ("notebook-cgan", {}), ("ae", {"norm": "batch"}), ("cgan", {"discriminator": "dcgan"})],
)
def test_micro_batches_are_part_of_the_run_where_batch_norm_sees_them(preset: str, changes: dict[str, Any]) -> None:
    old = dataclasses.replace(PRESETS[preset].config, **changes)
    new = dataclasses.replace(old, accumulation_steps=4)
    assert differences(old, new) == ["--accumulation-steps was 1 and is 4"]


@pytest.mark.parametrize(("schedule", "may"), [("constant", True), ("exponential", True), ("cosine", False)])
def test_epochs_may_grow_where_the_schedule_does_not_depend_on_them(schedule: Any, may: bool) -> None:
    old = TrainConfig(lr_schedule=schedule, epochs=3)
    assert (differences(old, dataclasses.replace(old, epochs=5)) == []) == may
    assert differences(old, dataclasses.replace(old, epochs=2)) == ["--epochs was 3 and is 2"]


def test_what_the_objective_does_not_use_may_differ() -> None:
    ae, cgan = PRESETS["ae"].config, PRESETS["cgan"].config
    assert differences(ae, dataclasses.replace(ae, discriminator_lr=1.0, flow_spread=0.1)) == []
    assert differences(cgan, dataclasses.replace(cgan, flow_spread=0.1)) == []
    assert len(differences(cgan, dataclasses.replace(cgan, discriminator_lr=1.0))) == 1
    mine = dataclasses.replace(ae, objective="mine.py:Mine")
    assert len(differences(mine, dataclasses.replace(mine, discriminator_lr=1.0))) == 1


def test_config_file_round_trip(tmp_path: Path) -> None:
    config = PRESETS["notebook-cgan"].config
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    assert load_config(tmp_path) == config


def test_config_file_of_an_earlier_version(tmp_path: Path) -> None:
    values = dataclasses.asdict(PRESETS["cgan"].config)
    for name in ("norm", "noise_channels", "conditional", "init_from", "r1_weight"):
        del values[name]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert load_config(tmp_path) == PRESETS["cgan"].config


def test_removed_options_that_were_off_are_ignored(tmp_path: Path) -> None:
    values = {**dataclasses.asdict(TrainConfig()), "diversity_weight": 0.0}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert load_config(tmp_path) == load_config(tmp_path, resuming=True) == TrainConfig()


@pytest.mark.parametrize(
    ("removed", "words"),
    [
        ({"diversity_weight": 5.0}, "--diversity-weight 5.0"),
        ({"reconstruction_loss": "huber"}, "--reconstruction-loss huber"),
    ],
)
def test_a_model_trained_with_removed_options_is_usable_but_not_resumed(
    removed: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**dataclasses.asdict(TrainConfig()), **removed}))
    assert load_config(tmp_path) == TrainConfig()
    with pytest.raises(InputError, match=f"cannot continue a training with {words}"):
        load_config(tmp_path, resuming=True)


def test_networks_without_normalization_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**dataclasses.asdict(TrainConfig()), "norm": "none"}))
    with pytest.raises(InputError, match="this version has no networks without normalization"):
        load_config(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"unheard_of": 1}'])
def test_unreadable_config_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json cannot be used"):
        load_config(tmp_path)
