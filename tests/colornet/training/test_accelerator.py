"""How the processes of a training are connected, and the memory that they keep."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from colornet.evaluation.processes import share_gpus
from colornet.training.accelerator import keep_freed_memory


@pytest.mark.parametrize(
    ("gpus", "processes", "cpu", "shared"),
    [(2, 2, False, False), (1, 2, False, True), (2, 5, False, True), (0, 2, False, False), (1, 2, True, False)],
)
def test_processes_share_gpus_where_there_are_too_few(
    gpus: int, processes: int, cpu: bool, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = {"RANK": 1, "LOCAL_RANK": 1, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    for name, value in (launch | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert share_gpus(cpu=cpu) == shared


PROGRAM = """
import resource, sys, torch
from colornet.training.accelerator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)  # 64 MiB, freed at once
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' allocators are left alone, as the next test says")
def test_freed_memory_is_not_asked_for_again() -> None:
    faults = {}
    for choice in ("keep", "default"):
        done = subprocess.run([sys.executable, "-c", PROGRAM, choice], capture_output=True, text=True, check=True)
        faults[choice] = int(done.stdout)
    assert faults["keep"] <= 10
    assert faults["default"] > 10  # otherwise there is nothing to keep


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
