"""The command line of `colornet train`, and what it refuses before it starts."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from colornet import cli, train
from colornet.config import PRESETS, TrainConfig, check_config
from colornet.errors import InputError
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
