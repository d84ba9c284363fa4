"""Values of the training options that were not given: they follow a resumed run, --init-from and the images."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from colornet.config import Preset, TrainConfig, check_values, levels_for
from colornet.data.count import count_images
from colornet.data.listing import KNOWN_DATASETS
from colornet.errors import InputError, printable
from colornet.hub import is_hub_name
from colornet.runs.pretrained import find_model, is_model_name
from colornet.runs.saved_config import load_config

FEW = 8192  # training images; with fewer, an epoch would have less than 32 batches of 256
BY_IMAGES = ("batch_size", "warmup_steps", "reconstruction_weight", "log_every")
_BY_ORIGIN = ("width", "multipliers", "blocks")  # of the generator

logger = logging.getLogger(__name__)


def settle(config: TrainConfig, preset: Preset, given: Collection[str]) -> TrainConfig:
    """Return a configuration in which the options that were not `given`, by name, suit the others.

    A resumed run keeps its values. Otherwise the levels follow the size of the images or the run in --init-from, as
    the width does; the batch and what depends on the number of steps follow the number of images. A log says what was
    chosen. What does not exist, cannot be downloaded or is impossible is left to the checks. Raises `InputError` for a
    run that cannot be read.
    """
    run = Path(config.run_dir)
    if config.resume == "auto" and (run / "config.json").is_file():
        saved = load_config(run)
        names = {*BY_IMAGES, "multipliers", *(_BY_ORIGIN if config.init_from else ())} - {*given}
        return replace(config, **{name: getattr(saved, name) for name in names})
    if "multipliers" not in given and preset.config.residual:
        config = replace(config, multipliers=levels_for(config.image_size))
    config = _apply(config, _like_origin(config), given, f"as in --init-from {config.init_from}")
    found = config.data in KNOWN_DATASETS or is_hub_name(config.data) or Path(config.data).is_dir()
    if {*given}.issuperset(BY_IMAGES) or not found:
        return config
    enough = 2 * max(FEW, config.batch_size)  # files, to know that there are more images than these
    try:
        check_values(config)  # first: a mistake does not wait for images to be counted
        counts = count_images(config.data, image_size=config.image_size, at_most=enough, cache_dir=config.cache_dir)
    except InputError:
        return config
    images = counts["train"]
    reason = f"for {images:,} training images"
    if images < FEW:
        config = _apply(config, {"batch_size": _batch_size(config, images)}, given, reason)
    steps = config.epochs * (images // config.batch_size)
    if images < FEW:
        weight = max(config.reconstruction_weight, preset.weight_for_few)
        values = {"warmup_steps": min(config.warmup_steps, max(steps // 10, 1)), "reconstruction_weight": weight}
        config = _apply(config, values, given, reason)
    points = min(steps, config.max_steps or steps) // 20
    return config if "log_every" in given else replace(config, log_every=min(config.log_every, max(points, 1)))


def _apply(config: TrainConfig, values: dict[str, Any], given: Collection[str], reason: str) -> TrainConfig:
    """Put values in the place of others that were not given, and say which and why."""
    changed = {name: v for name, v in values.items() if name not in given and v != getattr(config, name)}
    if changed:
        shown = ", ".join(f"--{name.replace('_', '-')} {_text(value)}" for name, value in changed.items())
        logger.warning("Chosen %s: %s.", printable(reason), shown)
    return replace(config, **changed)


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"


def _like_origin(config: TrainConfig) -> dict[str, Any]:
    """Return the size of the generator in --init-from, which a new one must share; nothing if there is none."""
    name = config.init_from
    if name is None or not (is_model_name(name) or Path(name).is_dir()):
        return {}
    origin = load_config(find_model(name))
    return {name: getattr(origin, name) for name in _BY_ORIGIN}


def _batch_size(config: TrainConfig, images: int) -> int:
    """Return a power of two of which an epoch has 32 or more, but not below 16 unless there are fewer images."""
    wanted = min(max(images // 32, 16), images, config.batch_size)
    return 1 << (wanted.bit_length() - 1)
