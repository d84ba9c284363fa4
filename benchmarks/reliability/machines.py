"""Train on several machines that are network namespaces of this one: `python -m benchmarks.reliability.machines`.

Each machine has a network interface, an address and a name of its own, and nothing but a virtual cable between it and
the others; the run folder is shared. In each, the launcher is started with the command that a user would type there.
Trainings are stopped, slowed and cut off from each other, and what they leave is compared, to the last bit, with what
as many processes of one machine leave. Needs root and iproute2; the network of the host is not touched.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro

from benchmarks.reliability.kills import final_state, same
from benchmarks.reliability.network import Machine, network
from colornet.errors import exiting_on_errors
from colornet.runs.checkpoint import list_checkpoints
from colornet.runs.provenance import provenance, read_provenance, write_json

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
SMALL = (
    "--data sample --image-size 32 --width 8 --multipliers 1 2 --blocks 1 --discriminator-width 8 --batch-size 24 "
    "--save-every 5 --log-every 10 --mixed-precision no --cpu --resume auto"
)
STOP = 7  # the step after which `stop` interrupts, in the middle of everything
PORT = "29500"
LINE = "{:<12}{:<8}{:<44}{}\n"  # of the table

Launcher = Literal["accelerate", "torchrun"]
Event = Literal["none", "stop", "slow", "flap", "cut", "kill", "restart"]


@dataclass(frozen=True)
class MachinesOptions:
    """What is started and what happens to it."""

    out: str | None = None  # JSON file of the results
    machines: int = 2  # network namespaces
    processes: int = 1  # on each of them
    launchers: tuple[Launcher, ...] = ("accelerate", "torchrun")  # what starts the processes
    # stop: --max-steps; cut: the cable, for good; kill: a process; restart: the same, and torchrun starts it again
    events: tuple[Event, ...] = ("none", "stop", "slow", "flap", "cut", "kill", "restart")
    pause: float = 10  # seconds for which slow stops a process and flap cuts the cable
    tcp_retries: int = 15  # net.ipv4.tcp_retries2 of the machines: when a silent connection is given up
    patience: float = 1300  # seconds after which a training is ended that neither ends nor fails
    preset: str = "cgan"  # what is trained
    steps: int = 40  # for how long


class Training:
    """A run on several machines (or one), with everything that is seen of it."""

    def __init__(self, config: MachinesOptions, machines: Sequence[Machine], launcher: Launcher, run_dir: Path) -> None:
        self.config, self.machines, self.launcher, self.run_dir = config, machines, launcher, run_dir
        self.world = config.machines * config.processes
        self.jobs: list[subprocess.Popen[bytes]] = []
        self.starts: list[dict[str, Any]] = []

    def command(self, rank: int, steps: int, restarts: int) -> list[str]:
        """Say what is typed on a machine."""
        count = len(self.machines)
        if self.launcher == "torchrun":
            launcher = ["torch.distributed.run", "--nnodes", str(count), "--nproc-per-node", str(self.world // count)]
            launcher += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{self.machines[0].address}:{PORT}"]
            launcher += ["--rdzv-id", self.run_dir.name, "--max-restarts", str(restarts)]
        else:
            file = LAUNCH / "accelerate" / "multi_machine.yaml"
            launcher = ["accelerate.commands.launch", "--config_file", str(file), "--num_processes", str(self.world)]
            launcher += ["--num_machines", str(count), "--machine_rank", str(rank)]
            launcher += ["--main_process_ip", self.machines[0].address, "--main_process_port", PORT]
        program = ["-m", "colornet.train", self.config.preset, *SMALL.split(), "--max-steps", str(steps)]
        return [sys.executable, "-m", *launcher, *program, "--run-dir", str(self.run_dir)]

    def start(self, steps: int, restarts: int = 0) -> None:
        """Start the launcher on every machine."""
        self.began = time.monotonic()
        self.logs = [self.run_dir.with_suffix(f".{len(self.starts)}.{rank}.txt") for rank in range(len(self.machines))]
        self.jobs = [
            machine.start(self.command(rank, steps, restarts), log)
            for rank, (machine, log) in enumerate(zip(self.machines, self.logs, strict=True))
        ]

    def finish(self) -> list[int | None]:
        """Wait for the launchers; note and return their exit codes, None for one that was ended for its silence."""
        seconds: list[float | None] = [None] * len(self.jobs)
        deadline = time.monotonic() + self.config.patience
        while None in seconds and time.monotonic() < deadline:
            time.sleep(0.1)
            for rank, job in enumerate(self.jobs):
                if seconds[rank] is None and job.poll() is not None:
                    seconds[rank] = round(time.monotonic() - self.began, 1)
        codes = [None if end is None else job.returncode for end, job in zip(seconds, self.jobs, strict=True)]
        for machine in self.machines:
            machine.kill()
        said = [[line for line in log.read_text().splitlines() if line.startswith("error: ")] for log in self.logs]
        self.starts.append({"codes": codes, "seconds": seconds, "errors": said})
        return codes

    def wait_for_checkpoint(self) -> None:
        """Wait until training is under way."""
        deadline = time.monotonic() + self.config.patience
        while not list_checkpoints(self.run_dir / "checkpoints"):
            assert all(job.poll() is None for job in self.jobs), "".join(log.read_text() for log in self.logs)
            assert time.monotonic() < deadline, f"{self.run_dir} has no checkpoint"
            time.sleep(0.01)

    def train(self, event: Event) -> None:
        """Train to the end, with something happening on the way."""
        last = self.machines[-1]
        if event == "stop":
            self.start(STOP)
            self.finish()
        self.start(self.config.steps, restarts=3 if event == "restart" else 0)
        if event not in ("none", "stop"):
            self.wait_for_checkpoint()
            self.began = time.monotonic()  # what is timed is how long the event keeps the training
            worker = int(Path(f"/proc/{last.pid}/task/{last.pid}/children").read_text(encoding="utf-8").split()[0])
        if event in ("kill", "restart"):
            os.kill(worker, signal.SIGKILL)
        if event == "slow":
            os.kill(worker, signal.SIGSTOP)
            time.sleep(self.config.pause)
            os.kill(worker, signal.SIGCONT)
        if event in ("flap", "cut"):
            last.connect(False)
        if event == "flap":
            time.sleep(self.config.pause)
            last.connect(True)
        self.finish()
        if event in ("cut", "kill"):
            last.connect(True)
            self.start(self.config.steps)
            self.finish()


def observe(config: MachinesOptions, machines: Sequence[Machine], root: Path) -> dict[str, Any]:
    """Train everything that was asked for, say how each ended, and return it all."""
    alone = Training(config, machines[:1], "accelerate", root / "alone")
    alone.train("none")
    assert alone.starts[-1]["codes"] == [0], alone.logs[0].read_text()
    expected = final_state(alone.run_dir)
    rows: dict[str, Any] = {}
    for launcher in config.launchers:
        for event in config.events:
            if (launcher, event) == ("accelerate", "restart"):  # its launch file asks for none
                continue
            training = Training(config, machines, launcher, root / f"{launcher}-{event}")
            training.train(event)
            row: dict[str, Any] = {"launcher": launcher, "event": event, "starts": training.starts}
            done = set(training.starts[-1]["codes"]) == {0}
            row["bit_identical"] = done and same(final_state(training.run_dir), expected)
            if done and event == "none":
                row["same_scores"] = same_scores(machines[-1], alone.run_dir, training.run_dir)
            row["training"] = read_provenance(training.run_dir)
            show(row)
            rows[training.run_dir.name] = row
    return rows


def same_scores(machine: Machine, first: Path, second: Path) -> bool:
    """Let a machine evaluate two runs; say whether all measures are the same."""
    out = second.with_suffix(".comparison")
    log = out.with_suffix(".txt")
    command = [sys.executable, "-m", "colornet.evaluate", str(first), str(second), "--cpu", "--out", str(out)]
    assert machine.start(command, log).wait() == 0, log.read_text()
    rows = json.loads((out / "comparison.json").read_text())["rows"]
    return bool(rows[first.name] == rows[second.name])


def show(row: dict[str, Any]) -> None:
    """Print a row of the table, a line a start."""
    for index, start in enumerate(row["starts"]):
        first = (row["launcher"], row["event"]) if index == 0 else ("", "")
        ends = [f"{code} after {seconds} s" for code, seconds in zip(start["codes"], start["seconds"], strict=True)]
        last = ""
        if index == len(row["starts"]) - 1:
            last = "equal" if row["bit_identical"] else "DIFFERENT"
            last += {True: ", so are its scores", False: ", SCORES DIFFER", None: ""}[row.get("same_scores")]
        sys.stdout.write(LINE.format(*first, ", ".join(ends), last))
        for line in dict.fromkeys(line for said in start["errors"] for line in said):
            sys.stdout.write(LINE.format("", "", line, ""))
    sys.stdout.flush()


def main() -> None:
    """Train, disturb, compare, write the results; exit with code 1 if any training ended otherwise than undisturbed."""
    config = tyro.cli(MachinesOptions, description=__doc__)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # machines are removed after it as after Ctrl-C
    torch.set_num_threads(1)
    with exiting_on_errors(quiet=False), tempfile.TemporaryDirectory(prefix="colornet-machines-") as folder:
        out = config.out and Path(config.out).resolve()
        os.chdir(folder)  # the commands that the results hold name runs by relative paths
        root = Path()
        os.environ |= {"COLORNET_DATA": str(root / "cache"), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        os.environ["TMPDIR"] = folder  # of the launchers
        with network(config.machines, config.tcp_retries, root) as machines:
            sys.stdout.write(LINE.format("launcher", "event", "exit codes", "weights"))
            rows = observe(config, machines, root)
    if out:
        results: dict[str, Any] = {"kind": "machines", "data": "sample", "preset": config.preset, "options": SMALL}
        results |= {"machines": config.machines, "processes": config.processes, "tcp_retries": config.tcp_retries}
        results |= {"pause": config.pause, "steps": config.steps, **provenance(torch.device("cpu")), "runs": rows}
        write_json(out, results)
    sys.exit(not all(row["bit_identical"] and row.get("same_scores", True) for row in rows.values()))


if __name__ == "__main__":
    main()
