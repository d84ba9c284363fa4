"""Read a run folder."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from colornet.config import TrainConfig, load_config
from colornet.errors import InputError
from colornet.models.build import build_generator
from colornet.models.unet import UNet
from colornet.runs.pretrained import check_release

__all__ = ["load_run"]


def load_run(run_dir: Path) -> tuple[TrainConfig, UNet]:
    """Load the configuration of a run folder and its generator (the moving average), ready for inference.

    Raises `InputError` for a folder that is no run, or whose `model.safetensors` is missing, damaged or does not fit,
    and for a released model whose weights are not those of its `release.json`.
    """
    config = load_config(run_dir)
    path = run_dir / "model.safetensors"
    if not path.is_file():
        raise InputError(f"{run_dir} has no model.safetensors yet: train until its first checkpoint.")
    check_release(run_dir)
    with torch.device("meta"):  # takes no memory, whatever size the configuration claims
        generator = build_generator(config)
    try:
        generator.load_state_dict(load_file(path), assign=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = (str(error).splitlines() or ["it is damaged"])[0]
        raise InputError(f"{path} cannot be loaded: {reason}; write it anew by training with --resume auto.") from error
    return config, generator.float().to(memory_format=torch.channels_last).eval().requires_grad_(False)
