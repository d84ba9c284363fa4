"""The values that no run could use."""

from __future__ import annotations

import math

from colornet.config.options import TrainConfig, require_option
from colornet.config.presets import PRESETS
from colornet.errors import InputError

# Values beyond these are typing errors, or come from a malicious configuration file.
_MOST = {"image_size": 4096, "width": 4096, "discriminator_width": 4096, "blocks": 64, "seed": 2**63 - 1,
         "noise_channels": 4096, "flow_steps": 100, "hang_timeout": 10**9}  # fmt: skip
_MOST_ATTENDED = 128  # side of the level with attention, whose cost grows with the fourth power of it
LARGEST = 10**12  # other whole numbers: torch counts in 64 bits, and multiplies them


def check_config(config: TrainConfig, world_size: int = 1) -> None:
    """Raise `InputError` for a value that no run could use, naming the option and what it must be."""
    check_values(config)
    if config.num_processes is not None and config.num_processes != world_size:
        running = f"{world_size} {'is' if world_size == 1 else 'are'} running"
        advice = "start them with `accelerate launch` and a file of launch/accelerate/, or leave the option out"
        raise InputError(f"--num-processes {config.num_processes} was asked for but {running}: {advice}.")
    share = world_size * config.accumulation_steps
    if config.batch_size % share:
        size, parts = config.batch_size, f"{world_size} processes × --accumulation-steps {config.accumulation_steps}"
        raise InputError(f"--batch-size {size} cannot be divided by {parts}: choose a multiple of {share}.")


def check_values(config: TrainConfig) -> None:
    """Raise `InputError` for a value that makes no sense on any machine; saved configurations must pass this, too."""
    for name in ("image_size", "width", "blocks", "discriminator_width", "epochs", "batch_size", "accumulation_steps",
                 "penalty_every", "log_every", "eval_every", "eval_batch_size", "keep_checkpoints"):  # fmt: skip
        require_option(getattr(config, name) >= 1, config, name, "at least 1")
    for name in ("shift", "warmup_steps", "save_every", "seed", "noise_channels", "flow_steps"):
        require_option(getattr(config, name) >= 0, config, name, "at least 0")
    for name, value in vars(config).items():
        if name in _MOST or isinstance(value, int):
            most = _MOST.get(name, LARGEST)
            require_option(value <= most, config, name, f"at most {most:,}")
    for name in ("lr", "discriminator_lr", "lr_decay"):
        require_option(0 < getattr(config, name) < math.inf, config, name, "a positive number")
    for name in ("beta1", "beta2", "ema_decay"):
        require_option(0 <= getattr(config, name) < 1, config, name, "at least 0 and below 1")
    for name in ("hang_timeout", "reconstruction_weight", "r1_weight", "r2_weight", "flow_spread"):
        require_option(0 <= getattr(config, name) < math.inf, config, name, "a number of at least 0")
    require_option(not config.hang_exit or config.hang_timeout > 0, config, "hang_timeout", "above 0 for --hang-exit")
    require_option(config.max_steps is None or config.max_steps >= 1, config, "max_steps", "at least 1")
    budget = config.device_budget
    require_option(budget is None or 0 <= budget < math.inf, config, "device_budget", "a number of GiB of at least 0")
    norm = config.max_grad_norm
    require_option(norm is None or 0 < norm < math.inf, config, "max_grad_norm", "a number above 0, or None")
    require_option(config.shift < config.image_size, config, "shift", "below --image-size")
    levels = config.multipliers
    require_option(1 <= len(levels) <= 12, config, "multipliers", "one to twelve numbers")
    require_option(min(levels) >= 1, config, "multipliers", "numbers of at least 1")
    require_option(max(levels) <= _MOST["width"], config, "multipliers", f"numbers of at most {_MOST['width']:,}")
    wanted = f"a multiple of {config.size_multiple}, as --multipliers has {len(levels)} levels"
    require_option(config.image_size % config.size_multiple == 0, config, "image_size", wanted)
    require_option(config.image_size >= 11, config, "image_size", "at least 11, the window of SSIM")
    most = _MOST_ATTENDED * config.size_multiple
    wanted = f"at most {most:,} for attention at level {len(levels)} of --multipliers"
    require_option(not config.attention or config.image_size <= most, config, "image_size", wanted)
    _check_objective(config)
    if config.flow_steps:
        _check_flow(config)


def _check_flow(config: TrainConfig) -> None:
    """Check what a network with a flow needs, whatever the objective that trains it."""
    require_option(config.noise_channels >= 1, config, "noise_channels", "at least 1, the seed of the noise of a flow")
    require_option(config.color_space == "lab", config, "color_space", "lab for a flow")
    require_option(config.residual, config, "residual", "yes for a flow")
    require_option(len(config.multipliers) >= 2, config, "multipliers", "two numbers or more for a flow")


def _check_objective(config: TrainConfig) -> None:
    checks = {preset.config.objective: preset.check for preset in PRESETS.values()}
    file, _, name = config.objective.rpartition(":")
    known = file.endswith(".py") and name.isidentifier() if file else name in checks
    require_option(known, config, "objective", f"one of {', '.join(checks)}, or your own FILE.py:CLASS")
    if not file:  # the class of a user's own objective checks its options when it is built
        checks[name](config)
