"""Connect the processes, choose the precision, and keep freed memory."""

from __future__ import annotations

import ctypes
import os
import sys

import torch
from accelerate import Accelerator

from colornet.config import TrainConfig
from colornet.environment import read_launch
from colornet.errors import InputError
from colornet.evaluation.processes import connect, share_gpus
from colornet.training.rendezvous import join

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of glibc's mallopt, named M_… in malloc.h


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory instead of returning it to the kernel, in the whole process; return whether it does.

    Otherwise every step waits until the kernel has provided the same pages again, filled with zeros.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1))


def choose_precision(config: TrainConfig) -> str:
    """Return "no", "bf16" or "fp16"; `auto` takes bf16 where the device has instructions and need not emulate it."""
    on_gpu = torch.cuda.is_available() and not config.cpu
    if config.mixed_precision == "fp16" and not on_gpu:
        raise InputError("--mixed-precision fp16 needs a GPU: choose bf16, no or auto.")
    if config.mixed_precision != "auto":
        return config.mixed_precision
    if on_gpu:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "no"


def start_accelerator(config: TrainConfig) -> Accelerator:
    """Connect the processes, which torchrun may restart, with the precision of the configuration."""
    gpus = not config.cpu and torch.cuda.is_available()
    if read_launch().processes > 1 and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0":
        join("nccl" if gpus and not share_gpus(cpu=config.cpu) else "gloo")
    return connect(cpu=config.cpu, mixed_precision=choose_precision(config))
