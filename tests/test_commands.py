"""Every command of the documentation: the programs accept it as it stands, and something runs it in a short form."""

from __future__ import annotations

import argparse
import configparser
import itertools
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import MagicMock

import pytest
import tyro
import yaml
from accelerate.commands.launch import launch_command_parser
from huggingface_hub import constants
from PIL import Image
from torch.distributed.run import get_args_parser

from benchmarks.__main__ import main as benchmarks_main
from colornet import cli, train
from colornet.config import check_config

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "benchmarks/README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]

# What runs each command in CI, in a short form: the test, or in words why none does. A command that is new in the
# documentation needs an entry, and so does one that changes.
RUN_BY = {
    "bash launch/quickstart.sh": "test_quickstart_trains_compares_and_leaves_earlier_results_alone",
    "bash launch/test.sh": "CI itself: .ci/run",
    "bash launch/reproduce.sh": "test_the_script_makes_what_is_missing_and_leaves_the_rest",
    "bash launch/release_weights.sh": "test_the_script_makes_what_is_missing_and_leaves_the_rest",
    "benchmarks kills": "test_killed_runs_end_as_if_nothing_had_happened",
    "benchmarks machines": "test_machines_of_their_own_networks_train_as_one",
    "python launch/own_photos.py": "test_own_photographs_train_a_model_that_colors_others",
    "python launch/demo_in_browser.py": "by hand: it needs Chromium and playwright",
    "accelerate single.yaml": "test_quickstart_trains_compares_and_leaves_earlier_results_alone",
    "accelerate multi_cpu.yaml": "test_two_processes_end_with_identical_weights",
    "accelerate multi_gpu.yaml": "by hand: it needs eight GPUs",
    "accelerate multi_machine.yaml": "test_machines_of_their_own_networks_train_as_one",
    "torchrun": "test_torchrun_goes_on_by_itself_after_the_loss_of_a_process",
    "sbatch": "test_slurm_starts_the_launcher_once_a_machine",
    "colornet train": "test_run_folder_holds_what_others_script_against",
    "colornet train --image-size 64": "test_own_photographs_train_a_model_that_colors_others",
    "colornet train --objective": "test_its_curves_are_logged_and_share_its_charts",
    "colornet colorize": "test_folder_keeps_its_structure",
    "colornet colorize --compare": "test_comparison_stands_beside",
    "colornet colorize --saturation": "test_saturation",
    "colornet colorize --model cgan.onnx": "test_command_colors_with_an_onnx_file",
    "colornet evaluate": "test_comparison_of_runs",
    "colornet export": "test_difference_is_printed",
    "colornet fetch": "test_every_source_and_its_failure_are_named",
    "colornet push": "test_a_published_run_is_loaded_elsewhere",
    "colornet train --data": "test_a_training_takes_it_as_the_folder_that_it_is",
    "colornet demo": "test_upload_is_shown_and_made_a_png",
    "benchmarks quality": "test_a_record_says_what_was_measured_on_what",
    "benchmarks quality --images": "test_images_of_another_program_are_scored",
    "benchmarks quality --write-inputs": "test_exported_images_come_back_the_same",
    "benchmarks throughput": "test_record_has_all_keys",
    "benchmarks speedrun": "test_record_says_where_it_comes_from_and_what_was_trained",
    "benchmarks speedrun --to-quality": "test_runs_stop_at_the_first_evaluation_at_the_target",
    "benchmarks scaling": "test_two_real_processes",
    "benchmarks scaling --compute": "test_steps_of_another_device_are_taken_from_throughput",
    "benchmarks inference": "test_record_and_table",
    "benchmarks ceiling": "test_what_lightness_tells_is_found",
    "benchmarks ablation": "test_every_row_has_its_values_costs_and_origin",
    "benchmarks growth": "test_a_real_measurement",
    "benchmarks report": "test_page_shows_all_parts",
    "benchmarks photos": "test_small_study_end_to_end",
}

# Programs that are not ours: what they are given is not checked.
OTHERS = {
    "apt-get",
    "cd",
    "cp",
    "docker",
    "ffmpeg",
    "git",
    "mkdir",
    "pip",
    "source",
    "tensorboard",
    "ssh",
    "export",
    "py",
    "python3",
}


class Parsed(Exception):  # noqa: N818 – no error
    """A program has accepted its options."""


def blocks(page: str, language: str) -> list[str]:
    """List the fenced blocks of a page that are written in a language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def fenced(page: str) -> Iterator[str]:
    """Yield the commands of a page's bash blocks: joined, loops unrolled, without comments and variables set."""
    for block in blocks(page, "bash"):
        variable, words = "", [""]
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;(?! do)", re.sub(r"(^|\s)#.*", "", line)):
                command = re.sub(r"^([A-Z_]+=\S+ )+", "", " ".join(part.split()).removesuffix(" &"))
                if loop := re.fullmatch(r"for (\w+) in (.*); do", command):
                    variable, words = loop[1], loop[2].split()
                elif command == "done":
                    variable, words = "", [""]
                elif command:
                    yield from (command.replace(f"${variable}", word) if variable else command for word in words)


def inline(page: str) -> Iterator[str]:
    """Yield the commands within sentences of a page that are whole: those with … or of one word are none."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", text):
        command = " ".join(code.split())
        whole = re.match(r"((colornet|python -m benchmarks) \w+|python -m colornet\.\w+ \w+) \S", command)
        if whole and not re.search(r"…|--help", command):
            yield command


def keys(command: str) -> list[str]:
    """List what a command may be called in `RUN_BY`, the most particular first; [] for those of others."""
    words = shlex.split(command)
    program, rest = words[0], words[1:]
    if program in OTHERS:
        return []
    if program == "accelerate":
        return [f"accelerate {Path(rest[rest.index('--config_file') + 1]).name}"]
    if program in ("bash", "python") and rest[0].startswith("launch/"):
        return [f"{program} {rest[0]}"]
    if program == "python":
        assert rest[0] == "-m", command
        module, _, sub = rest[1].partition(".")
        program, rest = module, [sub, *rest[2:]] if sub else rest[2:]
    name = f"{program} {rest[0]}" if program in ("colornet", "benchmarks") else program
    options = [word for word in rest if word.startswith("--")]
    pairs = [f"{name} {a} {b}" for a, b in itertools.pairwise(rest) if a.startswith("--")]
    return [key for key in (*pairs, *(f"{name} {option}" for option in options)) if key in RUN_BY] + [name]


FENCED = sorted({command for page in PAGES for command in fenced(page)})
INLINE = sorted({command for page in PAGES for command in inline(page)} - set(FENCED))


def test_every_command_is_run_by_something() -> None:
    used = set()
    for command in FENCED:
        if names := keys(command):
            assert set(names) & RUN_BY.keys(), f"nothing runs `{command}`: add it to RUN_BY"
            used.update(names)
    assert RUN_BY.keys() <= used, f"no page has {RUN_BY.keys() - used} any more"


@pytest.mark.parametrize("runner", sorted(set(RUN_BY.values())))
def test_what_runs_a_command_exists(runner: str) -> None:
    if runner.startswith(("by hand: ", "CI itself: ")):
        return
    assert any(f"def {runner}(" in path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every parser of options work, and stop the program where it is done."""

    def stop_after(parse: Callable[..., Any]) -> Callable[..., NoReturn]:
        def parsed(*arguments: Any, **options: Any) -> NoReturn:
            parse(*arguments, **options)
            raise Parsed

        return parsed

    monkeypatch.setattr(tyro, "cli", stop_after(tyro.cli))
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop_after(argparse.ArgumentParser.parse_args))


LAUNCHERS = {"accelerate": launch_command_parser, "torchrun": get_args_parser}


@pytest.mark.parametrize("command", [*FENCED, *INLINE])
def test_programs_accept_the_commands(
    command: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(command)
    program, rest = words[0], words[1:]
    if program in OTHERS:
        extras = configparser.ConfigParser()
        extras.read(ROOT / "setup.cfg", encoding="utf-8")
        assert set(re.findall(r"\[(\w+)\]", command)) <= {*extras["options.extras_require"]}
        return
    if program in LAUNCHERS:
        launched = LAUNCHERS[program]().parse_args(rest[1:] if program == "accelerate" else rest)
        assert launched.training_script == "colornet.train"
        assert launched.module
        if program == "accelerate":
            assert yaml.safe_load((ROOT / launched.config_file).read_text(encoding="utf-8"))["num_processes"]
        words = ["colornet", "train", *launched.training_script_args]
    elif program == "sbatch":
        assert (ROOT / "launch/slurm.sh").is_file()
        words = ["colornet", "train", *rest[rest.index("launch/slurm.sh") + 1 :]]
        words = [word.replace("%a", "0") for word in words]  # as the script does in an array
    elif program == "bash":
        assert (ROOT / rest[0]).is_file()
        return
    request.getfixturevalue("parse_only")
    with pytest.raises(Parsed):
        _start(words, monkeypatch)


def _start(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Start what a command line of ours names, in this process."""
    monkeypatch.setattr(sys, "argv", words[1:])
    if words[0] == "python" and words[1] == "-m":
        module, _, sub = words[2].partition(".")
        words = [module, *([sub] if sub else []), *words[3:]]
    if words[0] == "python":
        for name in ("playwright", "playwright.sync_api"):  # a browser is not needed to read options
            monkeypatch.setitem(sys.modules, name, MagicMock())
        monkeypatch.syspath_prepend((ROOT / words[1]).parent)
        runpy.run_path(str(ROOT / words[1]), run_name="__main__")
    elif words[0] == "benchmarks":
        benchmarks_main(words[1:])
    else:
        assert words[0] == "colornet"
        cli.main(words[1:])


@pytest.mark.parametrize("script", ["benchmarks/gpu.sh", "benchmarks/cpu.sh"])
def test_programs_accept_what_the_stages_of_a_script_ask_for(
    script: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of work that no CI can do: all of its commands, noted by a Python that only writes them down."""
    noted, python = tmp_path / "noted.jsonl", tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        "print('ae cgan' if 'PRESETS' in ''.join(sys.argv) else '1 2')  # names, and numbers of GPUs\n"
        f"with open({str(noted)!r}, 'a') as file: file.write(json.dumps(sys.argv[1:]) + '\\n')\n"
    )
    python.chmod(0o755)
    work = tmp_path / "work"
    for run in ("profile-no/profile", "profile-bf16/profile"):
        (work / "runs" / run).mkdir(parents=True)
    for run in (f"{preset}-{seed}" for preset in ("ae", "cgan") for seed in range(3)):
        (work / "runs" / run).mkdir()
        (work / "runs" / run / "README.md").touch()
    for precision in ("no", "bf16"):
        (work / f"runs/profile-{precision}/profile/operations-0.json").touch()
    command = ["bash", str(ROOT / script), "cifar10", str(work)]
    result = subprocess.run(
        command, env=os.environ | {"COLORNET_PYTHON": str(python)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    stages = re.findall(r"^#   ([\w-]+) {2,}", (ROOT / script).read_text(encoding="utf-8"), re.MULTILINE)
    ran = re.findall(r"^== ([\w-]+)$", result.stdout, re.MULTILINE)
    assert {stage.removesuffix("-PRESET") for stage in stages} <= {*ran, *(name.split("-")[0] for name in ran)}
    asked = {tuple(json.loads(line)) for line in noted.read_text().splitlines()}
    commands = [["python", *words] for words in sorted(asked) if words[0] == "-m"]
    for index, words in enumerate(commands):
        if words[2] == "torch.distributed.run":
            launched = LAUNCHERS["torchrun"]().parse_args(words[3:])
            assert (launched.module, launched.training_script) == (True, "colornet.train")
            commands[index] = ["colornet", "train", *launched.training_script_args]
        elif words[2] == "colornet.train":
            check_config(train.parse(words[3:]))
    assert len(commands) > len(ran)
    request.getfixturevalue("parse_only")
    for words in commands:
        with pytest.raises(Parsed):
            _start(words, monkeypatch)


def test_a_mistyped_option_is_found(parse_only: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("colornet train cgan --epoch 3", "python -m benchmarks photos --outt x"):
        with pytest.raises(SystemExit):
            _start(command.split(), monkeypatch)


def test_configurations_of_the_trainings_could_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # one of them names a data set of the Hub
    for command in (*FENCED, *INLINE):
        match = re.search(r"(?:colornet\.train|colornet train|slurm\.sh) (.*)", command)
        if match and "--num-processes" not in command:
            check_config(train.parse(shlex.split(match[1].replace("%a", "0"))), world_size=1)


def test_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its training in a short form: two steps of a small network."""
    (block,) = blocks("README.md", "python")
    (tmp_path / "photos").mkdir()
    for index in range(20):
        Image.new("RGB", (64, 64), (10 * index, 90, 60)).save(tmp_path / "photos" / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    short = [
        "--cpu",
        "--mixed-precision=no",
        "--max-steps=2",
        "--batch-size=4",
        "--width=8",
        "--blocks=1",
        "--discriminator-width=8",
    ]
    assert block.count("])") == 1
    names: dict[str, Any] = {"image": Image.new("L", (60, 40), 128)}
    exec(block.replace("])", f", *{short}])"), names)
    assert (names["colored"].mode, names["colored"].size) == ("RGB", (60, 40))
