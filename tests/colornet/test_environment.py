"""Nothing that surrounds a command changes what its options say: settings are refused, launches are whole or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from colornet import evaluate, train
from colornet.environment import Launch, check_environment, drop_settings, is_quiet, read_launch
from colornet.errors import InputError
from colornet.training.build import compose_trainer
from tests.conftest import small
from tests.runs import save_run

WHOLE = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "use --accumulation-steps"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR", "--compile"),
        ("ACCELERATE_USE_FSDP", "true", "one copy of the networks per process"),
        ("ACCELERATE_USE_DEEPSPEED", "true", "one copy"),
        ("ACCELERATE_USE_MEGATRON_LM", "true", "one copy"),
        ("ACCELERATE_USE_PARALLELISM_CONFIG", "true", "one copy"),
        ("ACCELERATE_TORCH_DEVICE", "meta", "CUDA_VISIBLE_DEVICES"),
        ("ACCELERATE_USE_CPU", "True", "add --cpu"),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1", "--mixed-precision"),
        ("NVIDIA_TF32_OVERRIDE", "0", "--mixed-precision"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16", "--mixed-precision"),
        ("TORCHDYNAMO_DISABLE", "1", "--compile"),
        ("TORCH_COMPILE_DISABLE", "1", "--compile"),
    ],
)
def test_settings_that_would_change_results_are_refused(
    name: str, value: str, instead: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    config = small("ae", folder, tmp_path / "run", cpu=name != "ACCELERATE_USE_CPU")
    with pytest.raises(InputError, match=f"variable {name} is '{value}': unset it.*{instead}"):
        train.check(config)
    with pytest.raises(InputError, match=name):  # a library user's start, too
        compose_trainer(config)
    assert not (tmp_path / "run").exists()


def test_what_accelerate_launch_sets_by_itself_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ACCELERATE_MIXED_PRECISION": "bf16",  # of `accelerate config`: colornet passes its own
        "ACCELERATE_USE_CPU": "False",
        "ACCELERATE_DYNAMO_BACKEND": "NO",
        "ACCELERATE_DYNAMO_MODE": "default",
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1",
        "ACCELERATE_DEBUG_MODE": "false",
        "TORCHDYNAMO_DISABLE": "0",
    }.items():
        monkeypatch.setenv(name, value)
    check_environment(cpu=False)
    drop_settings()
    assert not [name for name in os.environ if name.startswith("ACCELERATE_")]


def test_a_precision_of_the_launcher_does_not_replace_that_of_the_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert compose_trainer(small("ae", folder, tmp_path / "run")).accelerator.mixed_precision == "no"


def test_a_launch_is_whole_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_launch() == Launch(0, 0, 1, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")  # as some platforms set it for a job of one process
    assert read_launch() == Launch(0, 0, 1, 1)
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    assert read_launch() == Launch(3, 1, 4, 1)
    assert is_quiet()
    for name in WHOLE:
        with monkeypatch.context() as without:
            without.delenv(name)
            assert not is_quiet()
            with pytest.raises(InputError, match=f"but not {name}: start the processes with torchrun"):
                read_launch()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two': it must be a number"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is 0: it must be at least 1"),
        ({"RANK": "4"}, "RANK=4, LOCAL_RANK=1 and WORLD_SIZE=4, which no launcher sets"),
        ({"LOCAL_RANK": "-1"}, "LOCAL_RANK=-1"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT is 'http': it must be a number"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT is 99999: it must be from 0 to 65535"),
    ],
)
def test_a_launch_that_cannot_be_is_refused(
    changes: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (WHOLE | changes).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        read_launch()


def test_processes_of_mpi_do_not_work_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"MPI has started several processes: start the processes with torchrun"):
        read_launch()


def test_half_a_launch_ends_every_command_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = save_run(tmp_path / "run")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for main, arguments in ((evaluate.main, [str(run), "--data", "sample"]), (train.main, ["ae", "--data", "sample"])):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "error: The environment has WORLD_SIZE but not RANK and LOCAL_RANK" in capsys.readouterr().err
