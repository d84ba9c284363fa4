"""What surrounds a command: how it was launched, and settings in the environment that would replace its options."""

from __future__ import annotations

import os
from typing import NamedTuple

from colornet.errors import InputError

_OFF = ("", "0", "false", "no", "off", "n", "f")
_PRECISION = "colornet's own precision holds everywhere (--mixed-precision of a training)"
_COMPILED = "whether a training is compiled is what its --compile says"
_SHARDED = "colornet trains with one copy of the networks per process"

# Variables that Accelerate or torch reads and that would change results or replace an option: the values that change
# nothing, and what to use instead. Accelerate lets some of them outrank what it is passed.
_SETTINGS = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": (("", "1"), "use --accumulation-steps"),
    "ACCELERATE_DYNAMO_BACKEND": (("", "no"), _COMPILED),
    "ACCELERATE_TORCH_DEVICE": (("",), "choose the device by --cpu or CUDA_VISIBLE_DEVICES"),
    "ACCELERATE_USE_FSDP": (_OFF, _SHARDED),
    "ACCELERATE_USE_DEEPSPEED": (_OFF, _SHARDED),
    "ACCELERATE_USE_MEGATRON_LM": (_OFF, _SHARDED),
    "ACCELERATE_USE_PARALLELISM_CONFIG": (_OFF, _SHARDED),
    "ACCELERATE_USE_SAGEMAKER": (_OFF, "start the processes with torchrun"),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": (("", "0"), _PRECISION),
    "NVIDIA_TF32_OVERRIDE": (("",), _PRECISION),  # 0 changes results, too: convolutions take TF32 by default
    "ONEDNN_DEFAULT_FPMATH_MODE": (("", "strict"), _PRECISION),
    "DNNL_DEFAULT_FPMATH_MODE": (("", "strict"), _PRECISION),
    "PYTORCH_MPS_FAST_MATH": (("", "0"), _PRECISION),
    "TORCHINDUCTOR_USE_FAST_MATH": (_OFF, _PRECISION),
    "TORCHINDUCTOR_CPP_ENABLE_UNSAFE_MATH_OPT_FLAG": (_OFF, _PRECISION),
    "TORCHINDUCTOR_EMULATE_PRECISION_CASTS": (_OFF, _PRECISION),
    "TORCHINDUCTOR_FREEZING": (_OFF, _COMPILED),  # weights become constants
    "TORCHDYNAMO_PREPARE_FREEZING": (_OFF, _COMPILED),
    "TORCHDYNAMO_DISABLE": (_OFF, _COMPILED),
    "TORCH_COMPILE_DISABLE": (_OFF, _COMPILED),
    "TORCH_COMPILE_OVERRIDE_BACKENDS": (("",), _COMPILED),
    "TORCHDYNAMO_SUPPRESS_ERRORS": (_OFF, _COMPILED),
}
_LAUNCH = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_MPI = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # Accelerate reads them on CPUs


class Launch(NamedTuple):
    """What a launcher says about this process and the others; without one, there is one process."""

    rank: int = 0
    local_rank: int = 0  # among the processes of this machine
    processes: int = 1
    local_processes: int = 1


def check_environment(*, cpu: bool) -> None:
    """Raise `InputError` for a setting in the environment that would change results or replace an option.

    `cpu` is whether the command was told to work on the CPU.
    """
    on_cpu = {} if cpu else {"ACCELERATE_USE_CPU": (_OFF, "add --cpu to the options")}
    for name, (harmless, instead) in (_SETTINGS | on_cpu).items():
        value = os.environ.get(name, harmless[0])
        if value.strip().lower() not in harmless:
            where = "unset it, or remove the setting from the launcher's options and configuration file"
            raise InputError(f"The environment variable {name} is {value!r}: {where}; {instead}.")


def drop_settings() -> None:
    """Remove from the environment what is left of Accelerate's settings: everything is passed to it."""
    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        del os.environ[name]


def launched_processes() -> int:
    """Return the number of processes that `WORLD_SIZE` names; raise `InputError` where it is no such number."""
    processes = _number("WORLD_SIZE", "1")
    if processes < 1:
        raise InputError(f"The environment variable WORLD_SIZE is {processes}: it must be at least 1, or unset.")
    return processes


def read_launch() -> Launch:
    """Return what the launcher says; raise `InputError` where it says only a part, or what cannot be."""
    processes = launched_processes()
    if "LOCAL_RANK" not in os.environ and processes == 1:
        if mpi := next((name for name in _MPI if _number(name, "1") > 1), None):
            advice = "start the processes with torchrun or accelerate launch"
            raise InputError(f"The environment variable {mpi} says that MPI has started several processes: {advice}.")
        return Launch()
    if missing := [name for name in _LAUNCH if not os.environ.get(name)]:
        found = f"{' and '.join(name for name in _LAUNCH if name not in missing)} but not {' and '.join(missing)}"
        advice = "start the processes with torchrun or accelerate launch, or unset the variables to start one"
        raise InputError(f"The environment has {found}: {advice}.")
    if not 0 <= (port := _number("MASTER_PORT", "0")) <= 65535:
        raise InputError(f"The environment variable MASTER_PORT is {port}: it must be from 0 to 65535.")
    rank, local_rank = _number("RANK", "0"), _number("LOCAL_RANK", "0")
    if not 0 <= local_rank <= rank < processes:
        said = f"RANK={rank}, LOCAL_RANK={local_rank} and WORLD_SIZE={processes}"
        raise InputError(f"The environment has {said}, which no launcher sets: start the processes with torchrun.")
    return Launch(rank, local_rank, processes, _number("LOCAL_WORLD_SIZE", "1"))


def is_quiet() -> bool:
    """Tell whether this process leaves messages to another: the first of its machine, whose files may be its own.

    No process is quiet where the launch itself cannot be used.
    """
    try:
        return read_launch().local_rank > 0
    except InputError:
        return False


def _number(name: str, default: str) -> int:
    value = os.environ.get(name) or default
    try:
        return int(value)
    except ValueError:
        raise InputError(f"The environment variable {name} is {value!r}: it must be a number, or unset.") from None
