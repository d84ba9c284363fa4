"""The options of a training run, the presets to start from, and the checks of both, without torch."""

from colornet.config.checks import LARGEST, check_config, check_values
from colornet.config.options import TrainConfig, levels_for, require_option
from colornet.config.presets import PRESETS, Preset, unused_options

__all__ = [
    "LARGEST",
    "PRESETS",
    "Preset",
    "TrainConfig",
    "check_config",
    "check_values",
    "levels_for",
    "require_option",
    "unused_options",
]
