"""The arithmetic of everything that measures: scores must not depend on the settings of the training around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute float32 as float32 meanwhile: without autocast, and without TF32 in convolutions and products of GPUs."""
    backends: Any = torch.backends  # which makes some of its settings at run time, unseen by mypy
    kinds = (backends.cudnn.conv, backends.cuda.matmul)
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision
