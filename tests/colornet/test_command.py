"""How a command ends where nobody reads what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tyro

from benchmarks.__main__ import COMMANDS
from benchmarks.__main__ import main as benchmarks_main
from benchmarks.core.command import options_class
from colornet import cli, evaluate, train
from colornet.colorize import ColorizeConfig
from colornet.config import TrainConfig
from colornet.demo import DemoConfig
from colornet.evaluate import EvaluateConfig
from colornet.export import ExportConfig
from colornet.fetch import FetchConfig
from colornet.push import PushConfig
from tests.runs import save_run


def unread(*arguments: str) -> tuple[int, str]:
    """Run a command of colornet whose stdout is a pipe that is closed at once; return exit code and stderr."""
    command = [sys.executable, "-m", "colornet", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        return process.wait(), errors


def test_a_dry_run_ends_quietly() -> None:
    code, errors = unread("train", "ae", "--data", "sample", "--dry-run")
    assert code == 141
    assert {line.split()[0] for line in errors.splitlines()} == {"Chosen", "sample:"}  # what a dry run says


def test_results_are_written_before_they_are_printed(folder: Path, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    arguments = ["evaluate", str(run), "--data", str(folder), "--out", str(tmp_path / "out"), "--cpu"]
    code, errors = unread(*arguments)
    assert code == 141
    assert [line[:7] for line in errors.splitlines()] == ["Folder "]  # what became of the subfolders of the data
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["rows"].keys() == {"gray", "run"}


OPTIONS = [ColorizeConfig, DemoConfig, EvaluateConfig, ExportConfig, FetchConfig, PushConfig, TrainConfig,
           *(options_class(name, command) for name, command in COMMANDS.items())]  # fmt: skip


@pytest.mark.filterwarnings("ignore:get_parser")
@pytest.mark.parametrize("options", OPTIONS)
def test_every_option_has_a_help_text_with_one_default(options: type) -> None:
    for action in tyro.extras.get_parser(options)._actions:
        said = str(action.help)
        assert len(said.partition("(default")[0]) > 5, action.dest
        assert said.count("default:") <= 1, action.dest


@pytest.mark.parametrize(
    ("main", "mistyped", "answer"),
    [
        (cli.main, "trian", "there is no command 'trian': did you mean 'train'?"),
        (
            cli.main,
            "xyz",
            "there is no command 'xyz': choose from train, evaluate, colorize, export, fetch, push, demo.",
        ),
        (train.main, "cgn", "there is no preset 'cgn': did you mean 'cgan'?"),
        (benchmarks_main, "qualty", "there is no command 'qualty': did you mean 'quality'?"),
    ],
)
def test_a_mistyped_command_is_answered(
    main: Callable[[list[str]], None], mistyped: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([mistyped, "ae"])
    assert answer in capsys.readouterr().err


@pytest.mark.parametrize(("main", "name"), [(train.main, "train"), (evaluate.main, "evaluate")])
def test_a_command_has_one_name_however_it_is_started(
    main: Callable[[list[str]], None], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert f"colornet {name} [-h]" in capsys.readouterr().out
