"""The measurement of `machines`: train on network namespaces, disturb the trainings, compare their results."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.core.record import Record, start_record
from benchmarks.reliability.machines_options import Event, Launcher, MachinesOptions
from benchmarks.reliability.network import Machine, network
from benchmarks.reliability.states import FailedTrainingError, final_state, log_end, same
from colornet.bar import Bar
from colornet.runs.checkpoint import list_checkpoints
from colornet.runs.run import Run

CONFIG = str(Path(__file__).resolve().parents[2] / "launch" / "accelerate" / "multi_machine.yaml")
SMALL = (
    "--data sample --image-size 32 --width 8 --multipliers 1 2 --blocks 1 --discriminator-width 8 --batch-size 24 "
    "--save-every 5 --log-every 10 --mixed-precision no --cpu --resume auto"
)
STOP = 7  # the step after which `stop` interrupts, between two checkpoints
PORT = "29500"


def measure(options: MachinesOptions) -> Record:
    """Train on the machines with every launcher and event; return how each training ended."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # remove the machines, as on Ctrl-C
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="colornet-machines-") as folder:
        os.environ |= {"COLORNET_DATA": "cache", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "TMPDIR": folder}
        os.chdir(folder)  # so that the commands in the results name runs by relative paths
        try:
            with network(options.machines, options.tcp_retries) as machines:
                rows = observe(options, machines)
        finally:
            os.chdir(before)
    record = start_record("machines", torch.device("cpu"), options)
    record |= {"data": "sample", "preset": options.preset, "options": SMALL}
    kept = ("machines", "processes", "tcp_retries", "pause", "steps")
    return record | {name: getattr(options, name) for name in kept} | {"runs": rows}


class Training:
    """A run on several machines (or one), and how each of its starts ended."""

    def __init__(self, options: MachinesOptions, machines: Sequence[Machine], launcher: Launcher, name: str) -> None:
        self.options, self.machines, self.launcher, self.run_dir = options, machines, launcher, Path(name)
        self.starts: list[dict[str, Any]] = []

    def command(self, rank: int, steps: int, restarts: int) -> list[str]:
        """Return the command that is typed on a machine."""
        count, world = len(self.machines), self.options.machines * self.options.processes
        if self.launcher == "torchrun":
            launcher = ["torch.distributed.run", "--nnodes", str(count), "--nproc-per-node", str(world // count)]
            launcher += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{self.machines[0].address}:{PORT}"]
            launcher += ["--rdzv-id", self.run_dir.name, "--max-restarts", str(restarts)]
        else:
            launcher = ["accelerate.commands.launch", "--config_file", CONFIG, "--num_processes", str(world)]
            launcher += ["--num_machines", str(count), "--machine_rank", str(rank)]
            launcher += ["--main_process_ip", self.machines[0].address, "--main_process_port", PORT]
        program = ["-m", "colornet.train", self.options.preset, *SMALL.split(), "--max-steps", str(steps)]
        return [sys.executable, "-m", *launcher, *program, "--run-dir", str(self.run_dir)]

    def start(self, steps: int, restarts: int = 0) -> None:
        """Start the launcher on every machine."""
        self.began = time.monotonic()
        self.logs = [self.run_dir.with_suffix(f".{len(self.starts)}.{rank}.txt") for rank in range(len(self.machines))]
        self.jobs = [
            machine.start(self.command(rank, steps, restarts), log)
            for rank, (machine, log) in enumerate(zip(self.machines, self.logs, strict=True))
        ]

    def finish(self, patience: float | None = None) -> None:
        """Wait for the launchers, for the options' patience if none is given, then kill what still runs.

        Records their exit codes, seconds and errors, None for one that had to be killed.
        """
        seconds: list[float | None] = [None] * len(self.jobs)
        deadline = time.monotonic() + (self.options.patience if patience is None else patience)
        while None in seconds and time.monotonic() < deadline:
            time.sleep(0.1)
            for rank, job in enumerate(self.jobs):
                if seconds[rank] is None and job.poll() is not None:
                    seconds[rank] = round(time.monotonic() - self.began, 1)
        for machine in self.machines:
            machine.kill()
        errors = [[line for line in log.read_text().splitlines() if line.startswith("error: ")] for log in self.logs]
        self.starts.append({"codes": [job.returncode for job in self.jobs], "seconds": seconds, "errors": errors})

    def wait_for_checkpoint(self) -> None:
        """Wait until training has written its first checkpoint."""
        deadline = time.monotonic() + self.options.patience
        while not list_checkpoints(self.run_dir / "checkpoints"):
            if any(job.poll() is not None for job in self.jobs):
                raise FailedTrainingError(f"{self.run_dir} ended before its first checkpoint: {log_end(self.logs)}")
            if time.monotonic() >= deadline:
                raise FailedTrainingError(f"{self.run_dir} has no checkpoint after {self.options.patience:g} s")
            time.sleep(0.01)

    def train(self, event: Event) -> None:
        """Train to the end, with an event in between."""
        last = self.machines[-1]
        if event == "stop":
            self.start(STOP)
            self.finish()
        self.start(self.options.steps, restarts=3 if event == "restart" else 0)
        if event not in ("none", "stop"):
            self.wait_for_checkpoint()
            self.began = time.monotonic()  # seconds are counted from the event
            worker = int(Path(f"/proc/{last.pid}/task/{last.pid}/children").read_text(encoding="utf-8").split()[0])
        if event in ("kill", "restart"):
            os.kill(worker, signal.SIGKILL)
        if event == "slow":
            os.kill(worker, signal.SIGSTOP)
            time.sleep(self.options.pause)
            os.kill(worker, signal.SIGCONT)
        if event in ("flap", "cut"):
            last.connect(False)
        if event == "flap":
            time.sleep(self.options.pause)
            last.connect(True)
        self.finish()
        if event in ("cut", "kill"):
            last.connect(True)
            self.start(self.options.steps)
            self.finish()


def observe(options: MachinesOptions, machines: Sequence[Machine]) -> dict[str, Any]:
    """Train with every launcher and event; compare each training with one on a single machine."""
    alone = Training(options, machines[:1], "accelerate", "alone")
    rows: dict[str, Any] = {}
    try:
        alone.train("none")
        if alone.starts[-1]["codes"] != [0]:
            raise FailedTrainingError(f"{alone.run_dir} did not end well: {log_end(alone.logs)}")
        expected = final_state(alone.run_dir)
    except FailedTrainingError as error:  # then there is nothing to compare the others with
        return {"alone": _row(alone, "none") | {"failure": f"{error}."}}
    pairs = [(launcher, event) for launcher in options.launchers for event in options.events]
    pairs = [pair for pair in pairs if pair != ("accelerate", "restart")]  # its launch file asks for no restarts
    for launcher, event in Bar(pairs, unit="training"):
        training = Training(options, machines, launcher, f"{launcher}-{event}")
        found: dict[str, Any] = {}
        try:
            training.train(event)
            if set(training.starts[-1]["codes"]) == {0}:
                found["bit_identical"] = same(final_state(training.run_dir), expected)
                if event == "none":
                    found["same_scores"] = same_scores(machines[-1], alone.run_dir, training.run_dir)
        except FailedTrainingError as error:
            training.finish(patience=0)
            machines[-1].connect(True)  # it may have been cut off
            found = {"bit_identical": False, "failure": f"{error}."}
        rows[training.run_dir.name] = _row(training, event) | found
    return rows


def _row(training: Training, event: Event) -> dict[str, Any]:
    """Return what is recorded of a training, as long as nothing is known of its weights."""
    origin = Run(training.run_dir).starts
    row = {"launcher": training.launcher, "event": event, "starts": training.starts, "training": origin}
    return row | {"bit_identical": False}


def same_scores(machine: Machine, first: Path, second: Path) -> bool:
    """Evaluate two runs on a machine; tell whether all scores are the same."""
    out = second.with_suffix(".comparison")
    log = out.with_suffix(".txt")
    command = [sys.executable, "-m", "colornet.evaluate", str(first), str(second), "--cpu", "--out", str(out)]
    if machine.start(command, log).wait():
        raise FailedTrainingError(f"{first} and {second} cannot be evaluated: {log_end([log])}")
    rows = json.loads((out / "comparison.json").read_text())["rows"]
    return bool(rows[first.name] == rows[second.name])
