"""Train on several machines that are network namespaces of this one: `python -m benchmarks machines`.

Each machine has its own network interface, address and name, and a virtual cable to the other machines only. The run
folder is shared. The launcher is started on each of them with the command that a user would type there.
Trainings are stopped, slowed and disconnected from each other, and their results are compared, bit by bit, with those
of as many processes on one machine; a difference is exit code 1. Needs root and iproute2; the network of the host is
not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.core.checks import check_least, check_out, check_range
from benchmarks.core.presets import check_presets

Launcher = Literal["accelerate", "torchrun"]
Event = Literal["none", "stop", "slow", "flap", "cut", "kill", "restart"]


@dataclass(frozen=True)
class MachinesOptions:
    """What is started and what happens to it."""

    out: Path | None = None  # JSON file of the results; must not exist yet
    machines: int = 2  # network namespaces
    processes: int = 1  # on each machine
    launchers: tuple[Launcher, ...] = ("accelerate", "torchrun")  # what starts the processes
    # stop: --max-steps; cut: the cable, permanently; kill: a process; restart: the same, and torchrun restarts it
    events: tuple[Event, ...] = ("none", "stop", "slow", "flap", "cut", "kill", "restart")
    pause: float = 10  # seconds for which slow stops a process and flap cuts the cable
    tcp_retries: int = 15  # net.ipv4.tcp_retries2 of the machines: when a silent connection is given up
    patience: float = 1300  # seconds after which a training that neither ends nor fails is killed
    preset: str = "cgan"  # what is trained
    steps: int = 40  # of each training


def check(options: MachinesOptions) -> None:
    """Raise `InputError` for options that cannot be used."""
    check_range(options, machines=(1, 254))  # addresses of a network
    check_least(options, processes=1, pause=0, tcp_retries=1, patience=0, steps=1)
    check_presets(options, "preset")
    check_out(options.out)
