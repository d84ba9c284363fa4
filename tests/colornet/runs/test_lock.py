"""One owner of a run folder at a time."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.runs.lock import check_run_dir, locked

OWNER = """
import sys
from colornet.config import TrainConfig
from colornet.runs.lock import locked

with locked(TrainConfig(run_dir=sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def owner(run_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Own the run folder in another process."""
    command = [sys.executable, "-c", OWNER, str(run_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_second_owner_is_refused_until_the_first_is_dead(owner: subprocess.Popen[str], run_dir: Path) -> None:
    before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    config = TrainConfig(run_dir=str(run_dir), resume="auto")
    named = rf"{run_dir} is in use by process {owner.pid} on {socket.gethostname()}: wait until it ends, stop it"
    with pytest.raises(InputError, match=named), locked(config):
        pass
    assert {path.name: path.read_bytes() for path in run_dir.iterdir()} == before
    owner.kill()
    owner.wait()
    with locked(config):
        assert json.loads((run_dir / ".lock").read_text())["pid"] == os.getpid()


def test_a_run_that_the_folder_got_meanwhile_is_not_changed(run_dir: Path) -> None:
    """The options were checked when the folder was empty; before the lock was free, another run began there."""
    config = TrainConfig(run_dir=str(run_dir), resume="auto")
    check_run_dir(config)
    run_dir.mkdir()
    other = json.dumps(dataclasses.asdict(dataclasses.replace(config, seed=5)))
    (run_dir / "config.json").write_text(other)
    with pytest.raises(InputError, match="--seed was 5 and is 0"), locked(config):
        pass
    assert (run_dir / "config.json").read_text() == other


def test_a_start_that_died_before_it_wrote_leaves_an_empty_folder(run_dir: Path) -> None:
    config = TrainConfig(run_dir=str(run_dir), resume="never")
    with locked(config):
        pass
    check_run_dir(config)
    with locked(config):
        pass


def test_an_unreadable_owner_is_another_process(owner: subprocess.Popen[str], run_dir: Path) -> None:
    (run_dir / ".lock").write_text("\\")
    with pytest.raises(InputError, match="in use by another process"), locked(TrainConfig(run_dir=str(run_dir))):
        pass
