"""How the processes of a training are connected, and the memory that they keep."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from colornet.config import TrainConfig
from colornet.training import accelerator
from colornet.training.accelerator import keep_freed_memory


@pytest.mark.parametrize(
    ("gpus", "processes", "cpu", "backend"),
    [(2, 2, False, None), (1, 2, False, "gloo"), (2, 5, False, "gloo"), (0, 2, False, None), (1, 2, True, None)],
)
def test_processes_that_share_a_gpu_talk_over_gloo(
    gpus: int,
    processes: int,
    cpu: bool,
    backend: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What Accelerate is asked for: None leaves it the choice, which is NCCL on GPUs."""
    asked: list[str | None] = []

    class Connection:
        is_local_main_process = True
        num_processes = processes

        def __init__(self, kwargs_handlers: list[Any], **_: Any) -> None:
            asked.append(kwargs_handlers[0].backend if kwargs_handlers else None)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(accelerator, "Accelerator", Connection)
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    accelerator.start_accelerator(TrainConfig(cpu=cpu, mixed_precision="no"))
    assert asked == [backend]
    assert (f"{processes} processes share {gpus} of" in caplog.text) == (backend == "gloo")


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
