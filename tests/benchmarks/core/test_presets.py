"""Presets in other sizes, as benchmarks of speed train them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.core.presets import check_notebook_size, check_presets, sized_preset
from benchmarks.growth.options import GrowthOptions
from colornet.config import PRESETS
from colornet.errors import InputError


def test_options_of_the_same_names_are_taken_over() -> None:
    options = GrowthOptions(width=16, blocks=None, batch_size=8, data="elsewhere", cache_dir=Path("cache"), cpu=True)
    expected = dataclasses.replace(
        PRESETS["cgan"].config, width=16, discriminator_width=16, batch_size=3, data="elsewhere",
        mixed_precision="auto",
        compile="auto", image_size=32, cpu=True,
    )  # fmt: skip
    assert sized_preset(options, "cgan", batch_size=3) == expected


def test_what_is_no_preset_is_named() -> None:
    check_presets(GrowthOptions(preset="ae"), "preset")
    with pytest.raises(InputError, match=r"--preset is 'vae': it must be one of ae, cgan"):
        check_presets(GrowthOptions(preset="vae"), "preset")


def test_notebook_network_halves_the_size_four_times() -> None:
    check_notebook_size(32)
    with pytest.raises(InputError, match=r"--image-size is 24: .* needs a multiple of 16, or not\."):
        check_notebook_size(24, ", or not")
