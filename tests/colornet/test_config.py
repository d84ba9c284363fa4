"""The command line: what reads well, what is refused, and that a mistake costs neither time nor files."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from colornet import cli, train
from colornet.config import PRESETS, TrainConfig, check_config
from colornet.errors import InputError
from colornet.runs.saved_config import FREE_ON_RESUME, differences, load_config
from colornet.train import parse
from colornet.training.build import compose_trainer
from tests.conftest import small


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "colornet.train", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, timeout=120, check=False
    )


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2
    message = " ".join(result.stderr.replace("│", " ").split())
    assert all(word in message for word in words), message
    assert "Traceback" not in message


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid(preset: str) -> None:
    check_config(PRESETS[preset].config)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "--epochs is 0: it must be at least 1"),
        ({"batch_size": -1}, "--batch-size is -1"),
        ({"lr": float("nan")}, "--lr is nan: it must be a positive number"),
        ({"discriminator_lr": float("inf")}, "--discriminator-lr is inf"),
        ({"ema_decay": 1.0}, "--ema-decay is 1.0: it must be at least 0 and below 1"),
        ({"image_size": 30}, "--image-size is 30: it must be a multiple of 4, as --multipliers has 3 levels"),
        ({"image_size": 8}, "--image-size is 8: it must be at least 11"),
        (
            {"image_size": 4096},
            "--image-size is 4096: it must be at most 512 for attention at level 3 of --multipliers",
        ),
        ({"image_size": 32, "shift": 32}, "--shift is 32: it must be below --image-size"),
        ({"shift": -1}, "--shift is -1: it must be at least 0"),
        ({"seed": -1}, "--seed is -1: it must be at least 0"),
        ({"max_steps": 0}, "--max-steps is 0"),
        ({"max_grad_norm": 0.0}, "--max-grad-norm is 0.0"),
        ({"max_grad_norm": float("inf")}, "--max-grad-norm is inf: it must be a number above 0, or None"),
        ({"hang_timeout": 1e300}, "--hang-timeout is 1e+300: it must be at most 1,000,000,000"),
        (
            {"eval_batch_size": 10**20},
            "--eval-batch-size is 100000000000000000000: it must be at most 1,000,000,000,000",
        ),
        ({"penalty_every": 10**20}, "--penalty-every is 100000000000000000000: it must be at most"),
        ({"max_steps": 10**20}, "--max-steps is 100000000000000000000: it must be at most"),
        ({"multipliers": ()}, "--multipliers is ()"),
        ({"accumulation_steps": 3}, "choose a multiple of 3"),
        ({"r1_weight": 1.0}, "--r1-weight is 1.0: it must be 0 without a discriminator"),
        ({"r2_weight": 1.0}, "--r2-weight is 1.0: it must be 0 without a discriminator"),
        ({"relativistic": True}, "--relativistic is True: it must be off without a discriminator"),
        ({"penalty_every": 0}, "--penalty-every is 0: it must be at least 1"),
        (
            {"objective": "adversarial", "discriminator": "dcgan", "relativistic": True},
            "--relativistic is True: it must be off unless --discriminator patch",
        ),
        (
            {"objective": "adversarial", "discriminator": "dcgan", "r1_weight": 1.0},
            "--r1-weight is 1.0: it must be 0 unless --discriminator patch",
        ),
        (
            {"objective": "adversrial"},
            "--objective is 'adversrial': it must be one of reconstruction, adversarial, flow_matching, or",
        ),
        ({"objective": "mine.txt:Mine"}, "--objective is 'mine.txt:Mine': it must be one of"),
        ({"noise_channels": -1}, "--noise-channels is -1: it must be at least 0"),
        ({"num_processes": 4}, "--num-processes 4 was asked for but 1 is running"),
        (
            {"objective": "adversarial", "discriminator": "dcgan", "image_size": 48},
            "--image-size is 48: it must be a power of two for --discriminator dcgan",
        ),
    ],
)
def test_values_that_no_run_could_use(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_config(dataclasses.replace(TrainConfig(), **changes))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("size", "levels"),
    [(16, 3), (32, 3), (48, 3), (64, 4), (96, 4), (100, 3), (128, 5), (256, 6)],
)
def test_depth_follows_the_size_unless_it_is_given(size: int, levels: int) -> None:
    options = ["ae", "--image-size", str(size)]
    multipliers = parse(options).multipliers
    assert multipliers == ((1, 2, 4) + 3 * (4,))[:levels]
    check_config(parse(options))
    assert parse([*options, "--multipliers", "1", "2"]).multipliers == (1, 2)
    assert parse(["notebook-ae", "--image-size", str(size)]).multipliers == PRESETS["notebook-ae"].config.multipliers


def test_a_resumed_run_keeps_its_depth(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(TrainConfig(image_size=64))))
    options = ["ae", "--image-size", "64", "--run-dir", str(tmp_path)]
    assert parse([*options, "--resume", "auto"]).multipliers == (1, 2, 4)
    assert parse(options).multipliers == (1, 2, 4, 4)


def test_batch_that_the_processes_cannot_share() -> None:
    with pytest.raises(
        InputError, match=r"--batch-size 256 cannot be divided by 3 processes .* choose a multiple of 3"
    ):
        check_config(TrainConfig(), world_size=3)


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


def test_a_run_may_be_resumed_with_what_changes_no_weight() -> None:
    free: dict[str, Any] = {"save_every": 7, "keep_checkpoints": 9, "eval_batch_size": 3, "accumulation_steps": 4}
    assert differences(TrainConfig(), dataclasses.replace(TrainConfig(), **free)) == []


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


def test_another_run_is_a_start(tmp_path: Path) -> None:
    saved = dataclasses.replace(PRESETS["cgan"].config, lr=0.5, batch_size=8, multipliers=(1, 2), resume="auto",
                                max_steps=7, shift=2)  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(saved)))
    expected = dataclasses.replace(saved, lr=0.25, run_dir="new", resume="never", max_steps=None)
    for start in (str(tmp_path), str(tmp_path / "config.json")):
        assert parse([f"--config={start}", "--lr", "0.25", "--run-dir", "new"]) == expected
        assert parse(["--lr", "0.25", "--run-dir", "new", "--config", start]) == expected
    assert parse(["--config", "cgan", "--data", "sample", "--run-dir", "new"]).width == 32  # a released model


def test_mistakes_in_the_start_from_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(TrainConfig())))
    with pytest.raises(InputError, match="--config takes the place of the preset ae"):
        parse(["ae", "--config", str(tmp_path)])
    with pytest.raises(InputError, match="neither a released one"):
        parse(["--config", str(tmp_path / "missing" / "config.json")])
    with pytest.raises(InputError, match="--config needs a value"):
        parse(["--config"])
    with pytest.raises(SystemExit, match="2"):
        parse(["--config", str(tmp_path)])
    assert "--run-dir" in capsys.readouterr().err


def test_mistyped_option_names_the_near_miss() -> None:
    assert_refused(run("ae", "--bach-size", "3"), "Unrecognized", "--bach-size", "--batch-size")


def test_mistyped_preset_names_the_presets() -> None:
    assert_refused(run("cgn"), "cgn", "did you mean 'cgan'?")
    assert_refused(run("pix2pix"), "pix2pix", "choose from ae, cgan, flow, notebook-ae, notebook-cgan")


@pytest.mark.parametrize(
    ("data", "words"),
    [("missing", ["missing", "neither"]), ("cifar-10", ["did you mean", "cifar10"]), ("empty", ["empty"])],
)
def test_unusable_data(data: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    argument = str(tmp_path / data) if data in {"missing", "empty"} else data
    assert_refused(run("ae", "--data", argument, "--run-dir", str(tmp_path / "run")), *words)
    assert not (tmp_path / "run").exists()


def test_existing_run_is_refused_and_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    options = "ae", "--data", str(folder), "--run-dir", str(tmp_path)
    assert_refused(run(*options), str(tmp_path), "not empty", "--resume auto")
    assert_refused(run(*options, "--resume", "auto"), "is not a run folder")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_run_dir_that_cannot_be_made(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"--run-dir .* cannot be made in .*file"):
        train.check(small("ae", folder, tmp_path / "file" / "run"))
    with pytest.raises(InputError, match=r"--run-dir .*file is a file"):
        train.check(small("ae", folder, tmp_path / "file"))


def test_resume_with_another_configuration_names_field_and_values(folder: Path, tmp_path: Path) -> None:
    config = small("ae", folder, tmp_path / "run", max_steps=1)
    compose_trainer(config).fit()
    train.check(dataclasses.replace(config, resume="auto", max_steps=9, log_every=7, compile="on"))
    with pytest.raises(InputError, match=r"--width was 8 and is 16; --lr was 0\.001 and is 0\.5"):
        train.check(dataclasses.replace(config, resume="auto", width=16, lr=0.5))


def test_fp16_on_a_cpu_is_refused(folder: Path, tmp_path: Path) -> None:
    config = small("ae", folder, tmp_path / "run", mixed_precision="fp16")
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        compose_trainer(config)


def test_other_ranks_stay_quiet(tmp_path: Path) -> None:
    result = run("ae", "--data", str(tmp_path / "missing"), RANK="1", LOCAL_RANK="1", WORLD_SIZE="2",
                 MASTER_ADDR="127.0.0.1", MASTER_PORT="1")  # fmt: skip
    assert (result.returncode, result.stderr, result.stdout) == (2, "", "")


def test_dry_run_prints_the_configuration_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    result = run("cgan", "--data", str(folder), "--epochs", "3", "--run-dir", str(tmp_path / "run"), "--dry-run")
    assert result.returncode == 0
    assert json.loads(result.stdout)["epochs"] == 3
    assert not (tmp_path / "run").exists()


def test_help_and_mistakes_do_not_wait_for_torch() -> None:
    code = (
        "import sys\n"
        "from colornet import cli\n"
        "try:\n"
        "    cli.main(sys.argv[1:])\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules\n"
    )
    for arguments in (["train", "cgan", "--help"], ["evaluate", "--help"], ["train", "ae", "--data", "nowhere"]):
        result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert "AssertionError" not in result.stderr
        assert result.returncode == (0 if "--help" in arguments else 2)


def test_help_explains_every_option_in_the_group_of_its_class(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "cgan", "--help"])
    text = capsys.readouterr().out
    _, *parts = re.split(r"^[^\w\n]*(\w+) options[^\w\n]*$", text, flags=re.MULTILINE)
    boxes = dict(zip(parts[::2], parts[1::2], strict=True))
    groups = [kind for kind in TrainConfig.__mro__[::-1] if kind.__name__.endswith("Options")]
    assert [*boxes] == [kind.__name__.removesuffix("Options").lower() for kind in groups]
    for name, kind in zip(boxes, groups, strict=True):
        options = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(kind)}
        assert {*re.findall(r"^[│ ] (--\w[\w-]*)", boxes[name], re.MULTILINE)} == options
    assert {field.name for kind in groups for field in dataclasses.fields(kind)} == {
        field.name for field in dataclasses.fields(TrainConfig)
    }
    assert "data set: cifar10, sample, a folder of images, or one of the Hub" in " ".join(
        text.replace("│", " ").split()
    )
