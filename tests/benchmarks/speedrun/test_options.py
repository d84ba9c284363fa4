"""The options of a speedrun: what ours is made of, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.speedrun.options import SpeedrunOptions, our_config
from colornet.config import PRESETS
from tests.benchmarks.commands import refused


def test_ours_is_the_preset_with_the_options_given() -> None:
    options = SpeedrunOptions(width=16, lr=0.5, epochs=2, batch_size=32, cache_dir=Path("elsewhere"))
    expected = dataclasses.replace(
        PRESETS["ae"].config, color_space="rgb", reconstruction_loss="mse", width=16, lr=0.5, epochs=2, batch_size=32
    )
    assert our_config(options) == expected
    assert our_config(SpeedrunOptions(preset="notebook-ae")) == PRESETS["notebook-ae"].config.__class__(
        **(dataclasses.asdict(PRESETS["notebook-ae"].config) | {"mixed_precision": "auto"})
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds", "0"], "--seeds is 0: it must be at least 1"),
        (["--eval-steps", "0"], "--eval-steps is 0"),
        (["--notebook-epochs", "-1"], "--notebook-epochs is -1"),
        (["--image-size", "24"], "--image-size is 24: the notebooks' network needs a multiple of 16"),
        (["--lr", "nan"], "--lr is nan"),
        (["--data", "sampel"], "did you mean 'sample'?"),
        (["--mixed-precision", "fp16", "--cpu"], "--mixed-precision fp16 needs a GPU"),
        (["--data", "sample", "--training-images", "0"], "--training-images is 0: it must be at least 1"),
        (["--data", "sample", "--out", "speedrun.png"], "--out speedrun.png is the name of the plot"),
    ],
)
def test_bad_options(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refused(capsys, "speedrun", *options)
