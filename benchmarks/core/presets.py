"""The presets of colornet.train in other sizes, as speed benchmarks train them."""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.core.checks import check_not_empty, option
from colornet.config import PRESETS, TrainConfig
from colornet.errors import InputError

EPOCH_IMAGES = 45_000  # training images of CIFAR-10; smaller data sets are repeated to have as many
NOTEBOOK_FACTOR = 16  # the notebooks' network halves the size four times


def shared_values(options: Any) -> dict[str, Any]:
    """Return the options, unless None, that are fields of a training's configuration as well."""
    names = {field.name for field in dataclasses.fields(TrainConfig)} - {"cache_dir"}
    return {name: value for name, value in vars(options).items() if name in names and value is not None}


def sized_preset(options: Any, preset: str, **values: Any) -> TrainConfig:
    """Return a preset with `shared_values` of the options and with other values; the width is that of all networks."""
    values = shared_values(options) | values
    if "width" in values:
        values["discriminator_width"] = values["width"]
    return dataclasses.replace(PRESETS[preset].config, **values)


def check_presets(options: Any, name: str = "presets") -> None:
    """Raise `InputError` where a field, a name or a tuple of them, has one that is not a preset of colornet.train."""
    check_not_empty(options, name)
    value = getattr(options, name)
    for preset in value if isinstance(value, tuple) else (value,):
        if preset not in PRESETS:
            raise InputError(f"{option(name)} is {preset!r}: it must be one of {', '.join(PRESETS)}.")


def check_notebook_size(image_size: int, otherwise: str = "") -> None:
    """Raise `InputError` for images that the notebooks' network cannot halve; `otherwise` says what else to do."""
    if image_size % NOTEBOOK_FACTOR:
        raise InputError(
            f"--image-size is {image_size}: the notebooks' network needs a multiple of {NOTEBOOK_FACTOR}{otherwise}."
        )
