"""How the processes of a training are connected."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from colornet.config import TrainConfig
from colornet.training import accelerator


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
