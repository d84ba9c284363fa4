"""Run folders that several test files write."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from colornet.models.build import build_generator
from tests.conftest import small


def save_run(run: Path, preset: str = "ae", **changes: Any) -> Path:
    """Write a run whose generator is random, the head included: it predicts strong and varied colors."""
    torch.manual_seed(0)
    config = small(preset, Path("nowhere"), run, **changes)
    generator = build_generator(config)
    if config.residual:  # or the output starts as zero, gray
        head = generator.head[-1] if isinstance(generator.head, nn.Sequential) else generator.head
        for parameter in head.parameters():
            nn.init.normal_(parameter, std=0.04)
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    save_file({name: value.contiguous() for name, value in generator.state_dict().items()}, run / "model.safetensors")
    return run
