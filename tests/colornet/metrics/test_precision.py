"""The arithmetic of measurements: fp32, whatever the training around them uses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from colornet.data import Dataset
from colornet.evaluation.validation import ValidationScore
from colornet.metrics.precision import full_precision
from tests.images import photos

CPU = torch.device("cpu")


def test_full_precision_is_restored() -> None:
    """Even after an error; the state of these settings exists without a GPU, too."""
    backends: Any = torch.backends

    def precisions() -> tuple[str, str]:
        return backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision

    def fail() -> None:
        with torch.autocast("cpu", torch.bfloat16), full_precision(CPU):
            assert precisions() == ("ieee", "ieee")
            assert not torch.is_autocast_enabled("cpu")
            raise RuntimeError("inside")

    before, legacy = precisions(), torch.backends.cudnn.allow_tf32
    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert precisions() == before
    assert torch.backends.cudnn.allow_tf32 == legacy  # reading it raises where old and new settings are at odds


def test_validation_measures_in_full_precision(tf32: Any) -> None:
    score = ValidationScore(
        Dataset("photos", photos(), photos()[:4], photos(), ""), Accelerator(cpu=True), batch_size=4
    )
    seen: list[tuple[str, bool]] = []
    score.evaluator.whiten.register_forward_hook(
        lambda *_: seen.append((tf32.fp32_precision, torch.is_autocast_enabled("cpu")))
    )

    def colorize(images: Tensor) -> Tensor:
        assert tf32.fp32_precision == "tf32"  # the model computes as it was trained
        return images

    with torch.autocast("cpu", torch.bfloat16):
        score(colorize)
    assert seen == [("ieee", False)] * 3  # the images, their mirror images, the true ones
