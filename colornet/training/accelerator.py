"""Connect the processes, choose the precision, and keep freed memory."""

from __future__ import annotations

import ctypes
import logging
import os
import sys

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.training.rendezvous import join

logger = logging.getLogger(__name__)

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
    """Connect the processes: over NCCL on GPUs, over gloo on CPUs and where GPUs are shared, which NCCL refuses."""
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    gpus = 0 if config.cpu else torch.cuda.device_count()
    shared = 0 < gpus < int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if launched > 1 and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0":
        join("nccl" if gpus and not shared else "gloo")
    accelerator = Accelerator(
        mixed_precision=choose_precision(config),
        cpu=config.cpu,
        kwargs_handlers=[InitProcessGroupKwargs(backend="gloo")] if shared else [],
    )
    if shared and accelerator.is_local_main_process:
        advice = "of this machine's GPUs and talk through its memory: start one per GPU to be fast."
        logger.warning("%s processes share %d %s", os.environ["LOCAL_WORLD_SIZE"], gpus, advice)
    if accelerator.num_processes != launched:
        advice = "on CPUs, add --cpu (launch/accelerate/multi_cpu.yaml)"
        raise InputError(f"{launched} processes were launched and each of them would train alone: {advice}.")
    return accelerator
