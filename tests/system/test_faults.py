"""What happens to a run may cost time and nothing else: killed, preempted, robbed of a process or of its disk."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from colornet.runs.checkpoint import find_checkpoint, list_checkpoints
from tests.system.server import PATIENCE, Job, Server

pytestmark = pytest.mark.system


def wait_for_checkpoint(run_dir: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not list_checkpoints(run_dir / "checkpoints"):
        assert time.monotonic() < deadline, f"{run_dir} has no checkpoint"
        time.sleep(0.002)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Jobs:
    """Tiny trainings of a cGAN, 48 steps with a checkpoint every 3."""

    def __init__(self, server: Server, images: Path) -> None:
        self.server = server
        small = "--image-size 16 --width 8 --multipliers 1 2 --blocks 1 --discriminator-width 8 --batch-size 12 --cpu"
        often = "--epochs 12 --save-every 3 --log-every 5 --eval-every 6 --mixed-precision no"
        self.options = ["cgan", *small.split(), *often.split(), "--data", str(images)]

    def start(
        self, world: int, run_dir: Path, *more: str, output: Path | None = None, limit: int = 0, apart: str = ""
    ) -> Job:
        """Start processes as `Server.start`; by default, what they print goes to a file beside the run folder."""
        arguments = [*self.options, *more, "--run-dir", str(run_dir), "--resume", "auto"]
        printed = output or run_dir.with_suffix(".txt")
        return self.server.start(world, "colornet.train", arguments, printed, limit=limit, apart=apart)


@pytest.fixture(scope="module")
def jobs(server: Server, folder: Path) -> Jobs:
    return Jobs(server, folder)


@pytest.fixture(scope="module")
def whole(jobs: Jobs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on two processes without interruption."""
    run_dir = tmp_path_factory.mktemp("faults") / "whole"
    assert jobs.start(2, run_dir).codes() == [0, 0]
    return run_dir


def assert_same_result(first: Path, second: Path) -> None:
    models = [load_file(run_dir / "model.safetensors") for run_dir in (first, second)]
    assert [name for name in models[0] if not torch.equal(models[0][name], models[1][name])] == []
    assert [list_checkpoints(run_dir / "checkpoints")[0].name for run_dir in (first, second)] == ["step-00000048"] * 2


def test_killed_runs_end_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """The short version of what docs/reliability.md reports."""
    command = [sys.executable, "-m", "benchmarks", "kills", "--processes", "2", "--kills", "3"]
    result = subprocess.run(
        [*command, "--out", str(tmp_path / "out.json")], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == 0, result.stderr
    run = json.loads((tmp_path / "out.json").read_text())["runs"]["2"]
    assert run["kills"] == sum(run["killed_during"].values()) == 3
    assert run["bit_identical"] == run["runs"] >= 1


@pytest.mark.parametrize(("asked", "number"), [(0, signal.SIGTERM), (1, signal.SIGUSR1), (0, signal.SIGHUP)])
def test_signal_to_one_process_stops_all_and_the_run_goes_on(
    asked: int, number: signal.Signals, jobs: Jobs, whole: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    job = jobs.start(2, run_dir)
    wait_for_checkpoint(run_dir)
    os.kill(job.processes[asked], number)
    assert job.codes() == [75, 75]
    (checkpoint, *_) = list_checkpoints(run_dir / "checkpoints")
    stopped = int((run_dir / "preempted").read_text())
    assert checkpoint.name == f"step-{stopped:08d}"
    assert 3 <= stopped < 48
    output = job.output.read_text()
    assert output.count(f"Stopped by a signal after step {stopped}; continue with --resume auto.") == 1
    assert "Traceback" not in output

    assert jobs.start(2, run_dir).codes() == [0, 0]
    assert not (run_dir / "preempted").exists()
    assert_same_result(run_dir, whole)


@pytest.mark.parametrize("lost", [0, 1])
def test_what_is_left_of_a_run_ends_with_a_sentence(lost: int, jobs: Jobs, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    job = jobs.start(2, run_dir)
    wait_for_checkpoint(run_dir)
    os.kill(job.processes[lost], signal.SIGKILL)
    assert sorted(job.codes()) == [-signal.SIGKILL, 1]
    output = job.output.read_text()
    assert f"error: Process {1 - lost} stops at step" in output
    assert "Traceback" not in output


def test_a_second_start_in_the_same_folder_changes_nothing(jobs: Jobs, whole: Path, tmp_path: Path) -> None:
    """The first is stopped for a moment, so that it is there for sure when the second comes, with the same options."""
    run_dir = tmp_path / "run"
    job = jobs.start(2, run_dir)
    wait_for_checkpoint(run_dir)
    os.killpg(job.processes[0], signal.SIGSTOP)
    try:
        before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")}
        second = jobs.start(2, run_dir, output=tmp_path / "second.txt")
        assert second.codes() == [2, 2]
        named = f"{run_dir} is in use by process {job.processes[0]} on {socket.gethostname()}"
        advice = "wait until it ends, stop it, or choose another --run-dir"
        assert second.output.read_text().splitlines()[-1] == f"error: {named}: {advice}."
        assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")} == before
    finally:
        os.killpg(job.processes[0], signal.SIGCONT)
    assert job.codes() == [0, 0]
    assert_same_result(run_dir, whole)


def test_full_disk_leaves_the_older_checkpoint_whole(jobs: Jobs, whole: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    assert jobs.start(2, run_dir, "--max-steps", "5").codes() == [0, 0]
    older = find_checkpoint(run_dir / "checkpoints")
    assert older is not None
    full = jobs.start(2, run_dir, limit=200_000)
    assert full.codes() == [2, 2]
    (message,) = (line for line in full.output.read_text().splitlines() if line.startswith("error"))
    assert f"The checkpoint of step 6 cannot be written to {run_dir}: File too large" in message
    assert " MiB free there" in message
    assert "Traceback" not in full.output.read_text()
    assert find_checkpoint(run_dir / "checkpoints") == older
    assert {path.name for path in (run_dir / "checkpoints").iterdir()} == {"step-00000003", "step-00000005"}

    assert jobs.start(2, run_dir).codes() == [0, 0]
    assert_same_result(run_dir, whole)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of a few MiB, as only root may."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "colornet-test", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"A disk of one's own cannot be mounted here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path) -> None:
    """Write zeros until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_disk_that_fills_up_ends_the_run_with_a_sentence(jobs: Jobs, whole: Path, disk: Path) -> None:
    run_dir = disk / "run"
    job = jobs.start(2, run_dir, output=disk.with_name("full.txt"))
    wait_for_checkpoint(run_dir)
    fill(disk / "ballast")
    first, second = job.codes()
    assert (first, second) in {(2, 2), (2, 1)}  # 1: the other was told that the first has gone
    output = job.output.read_text()
    assert f"cannot be written to {run_dir}: No space left on device, 0.0 MiB free there. Older" in output
    assert "Traceback" not in output
    (disk / "ballast").unlink()
    assert jobs.start(2, run_dir, output=disk.with_name("room.txt")).codes() == [0, 0]
    assert_same_result(run_dir, whole)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_disk_that_takes_nothing_ends_all_processes(fault: str, jobs: Jobs, whole: Path, disk: Path) -> None:
    run_dir = disk / "run"
    assert jobs.start(2, run_dir, "--max-steps", "5").codes() == [0, 0]
    remount = ["mount", "-o", "remount", str(disk)]
    if fault == "full":
        fill(disk / "ballast")
    else:
        subprocess.run([*remount, "-r"], check=True)
    job = jobs.start(2, run_dir, output=disk.with_name("refused.txt"))
    assert job.codes() == [2, 2]
    (message,) = (line for line in job.output.read_text().splitlines() if line.startswith("error"))
    reason = "No space left on device" if fault == "full" else "Read-only file system"
    assert f"cannot be written to {run_dir}: {reason}" in message
    assert "Traceback" not in job.output.read_text()

    if fault == "full":
        (disk / "ballast").unlink()
    else:
        subprocess.run([*remount, "-w"], check=True)
    assert jobs.start(2, run_dir).codes() == [0, 0]
    assert_same_result(run_dir, whole)


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(jobs: Jobs, whole: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    assert jobs.start(2, run_dir, "--max-steps", "8").codes() == [0, 0]
    newest, older = list_checkpoints(run_dir / "checkpoints")
    os.truncate(newest / "state.safetensors", 1000)
    job = jobs.start(2, run_dir)
    assert job.codes() == [0, 0]
    output = job.output.read_text()
    assert output.count(f"The checkpoint {newest} is damaged (state.safetensors has 1000 of") == 1
    assert f"resuming at step {int(older.name.removeprefix('step-'))} of 48" in output
    assert_same_result(run_dir, whole)


def test_a_slow_process_is_waited_for(jobs: Jobs, whole: Path, tmp_path: Path) -> None:
    """It stands still for seconds; meanwhile each of the others notes where it waits."""
    run_dir = tmp_path / "run"
    job = jobs.start(2, run_dir, "--hang-timeout", "1")
    wait_for_checkpoint(run_dir)
    os.kill(job.processes[1], signal.SIGSTOP)
    time.sleep(4)
    os.kill(job.processes[1], signal.SIGCONT)
    assert job.codes() == [0, 0]
    assert "No step was finished for 1 s: where each process stands is in" in job.output.read_text()
    log = (run_dir / "logs" / "rank-0.log").read_text()
    assert "No step for 1 s." in log
    assert "trainer.py" in log
    assert_same_result(run_dir, whole)


def test_a_loss_that_is_not_a_number_ends_all_processes(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs.start(2, tmp_path / "run", "--lr", "1e30", "--lr-schedule", "constant")
    assert job.codes() == [1, 1]
    output = job.output.read_text()
    assert output.count("error: The loss or its gradient is not finite since step") == 1
    assert "Traceback" not in output
    assert list_checkpoints(tmp_path / "run" / "checkpoints") == []


def test_machines_that_share_no_folder_do_not_go_on(jobs: Jobs, tmp_path: Path) -> None:
    first, second = (tmp_path / f"machine-{rank}" / "run" for rank in (0, 1))
    for run_dir in (first, second):
        run_dir.parent.mkdir()

    def start(name: str, *more: str) -> tuple[list[int], str]:
        job = jobs.start(2, Path("run"), *more, output=tmp_path / name, apart=str(tmp_path))
        return sorted(job.codes()), job.output.read_text()

    codes, _ = start("whole.txt", "--max-steps", "3")
    assert codes == [0, 0]
    codes, output = start("logs.txt")  # the second machine has no more of the run than its own log
    assert codes == [1, 2]
    assert "error: run is not a run folder" in output
    assert "error: Process 0 stops before its first step, because another one has ended" in output
    assert "Traceback" not in output
    shutil.copytree(first, second, dirs_exist_ok=True)
    shutil.rmtree(second / "checkpoints")
    codes, output = start("copy.txt")
    assert codes == [2, 2]
    assert output.count("error: The processes would resume from different steps (3, 0): --run-dir run must be") == 2


def test_torchrun_goes_on_by_itself_after_the_loss_of_a_process(jobs: Jobs, whole: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--master-port", free_port(), "--nproc-per-node", "2"]
    program = ["--max-restarts", "3", "-m", "colornet.train", *jobs.options, "--run-dir", str(run_dir)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    agent = subprocess.Popen(
        [*torchrun, *program, "--resume", "auto"], stderr=subprocess.PIPE, env=environment, start_new_session=True
    )
    try:
        wait_for_checkpoint(run_dir)
        workers = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text(encoding="utf-8").split()
        os.kill(int(workers[-1]), signal.SIGKILL)
        _, errors = agent.communicate(timeout=PATIENCE)
    finally:
        if agent.poll() is None:
            os.killpg(agent.pid, signal.SIGTERM)  # passed on to the workers
            agent.wait()
    assert agent.returncode == 0, errors.decode()
    assert len(json.loads((run_dir / "provenance.json").read_text())) == 2  # starts
    assert_same_result(run_dir, whole)


HANGING = """
import ctypes, os
from colornet.objectives.adversarial import Adversarial

class Hanging(Adversarial):
    def training_step(self, microbatches, *, step=0, noise=None):
        if step == 7 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            ctypes.PyDLL(None).sleep(10_000)  # native code that keeps the interpreter's lock
        return super().training_step(microbatches, step=step, noise=noise)
"""


def test_torchrun_restarts_a_run_that_hangs(jobs: Jobs, whole: Path, tmp_path: Path) -> None:
    """No thread of the process that hangs can run, neither a signal's handler nor the watchdog's."""
    run_dir, file = tmp_path / "run", tmp_path / "hanging.py"
    file.write_text(HANGING)
    command = [sys.executable, "-m", "torch.distributed.run", "--master-port", free_port(), "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", "-m", "colornet.train", *jobs.options, "--run-dir", str(run_dir)]
    command += ["--resume", "auto", "--objective", f"{file}:Hanging", "--hang-timeout", "4", "--hang-exit"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stderr
    assert len(json.loads((run_dir / "provenance.json").read_text())) == 2  # starts
    assert "in training_step" in (run_dir / "logs" / "rank-1.log").read_text()
    assert_same_result(run_dir, whole)
