"""Values that no run could use, of presets and of users."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from colornet.config import PRESETS, TrainConfig, check_config
from colornet.errors import InputError


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid(preset: str) -> None:
    check_config(PRESETS[preset].config)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "--epochs is 0: it must be at least 1"),
        ({"batch_size": -1}, "--batch-size is -1"),
        ({"lr": float("nan")}, "--lr is nan: it must be a positive number"),
        ({"discriminator_lr": float("inf")}, "--discriminator-lr is inf"),
        ({"ema_decay": 1.0}, "--ema-decay is 1.0: it must be at least 0 and below 1"),
        ({"image_size": 30}, "--image-size is 30: it must be a multiple of 4, as --multipliers has 3 levels"),
        ({"image_size": 8}, "--image-size is 8: it must be at least 11"),
        (
            {"image_size": 4096},
            "--image-size is 4096: it must be at most 512 for attention at level 3 of --multipliers",
        ),
        ({"image_size": 32, "shift": 32}, "--shift is 32: it must be below --image-size"),
        ({"shift": -1}, "--shift is -1: it must be at least 0"),
        ({"seed": -1}, "--seed is -1: it must be at least 0"),
        ({"max_steps": 0}, "--max-steps is 0"),
        ({"max_grad_norm": 0.0}, "--max-grad-norm is 0.0"),
        ({"max_grad_norm": float("inf")}, "--max-grad-norm is inf: it must be a number above 0, or None"),
        ({"hang_timeout": 1e300}, "--hang-timeout is 1e+300: it must be at most 1,000,000,000"),
        (
            {"eval_batch_size": 10**20},
            "--eval-batch-size is 100000000000000000000: it must be at most 1,000,000,000,000",
        ),
        ({"penalty_every": 10**20}, "--penalty-every is 100000000000000000000: it must be at most"),
        ({"max_steps": 10**20}, "--max-steps is 100000000000000000000: it must be at most"),
        ({"multipliers": ()}, "--multipliers is ()"),
        ({"accumulation_steps": 3}, "choose a multiple of 3"),
        ({"r1_weight": 1.0}, "--r1-weight is 1.0: it must be 0 without a discriminator"),
        ({"r2_weight": 1.0}, "--r2-weight is 1.0: it must be 0 without a discriminator"),
        ({"relativistic": True}, "--relativistic is True: it must be off without a discriminator"),
        ({"penalty_every": 0}, "--penalty-every is 0: it must be at least 1"),
        (
            {"objective": "adversarial", "discriminator": "dcgan", "relativistic": True},
            "--relativistic is True: it must be off unless --discriminator patch",
        ),
        (
            {"objective": "adversarial", "discriminator": "dcgan", "r1_weight": 1.0},
            "--r1-weight is 1.0: it must be 0 unless --discriminator patch",
        ),
        (
            {"objective": "adversrial"},
            "--objective is 'adversrial': it must be one of reconstruction, adversarial, flow_matching, or",
        ),
        ({"objective": "mine.txt:Mine"}, "--objective is 'mine.txt:Mine': it must be one of"),
        ({"noise_channels": -1}, "--noise-channels is -1: it must be at least 0"),
        ({"num_processes": 4}, "--num-processes 4 was asked for but 1 is running"),
        (
            {"objective": "adversarial", "discriminator": "dcgan", "image_size": 48},
            "--image-size is 48: it must be a power of two for --discriminator dcgan",
        ),
    ],
)
def test_values_that_no_run_could_use(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_config(dataclasses.replace(TrainConfig(), **changes))
    assert words in str(caught.value)


def test_batch_that_the_processes_cannot_share() -> None:
    with pytest.raises(
        InputError, match=r"--batch-size 256 cannot be divided by 3 processes .* choose a multiple of 3"
    ):
        check_config(TrainConfig(), world_size=3)
