"""Connect the processes that were launched, and what they do together."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, gather_object
from torch.distributed import ProcessGroup

from colornet.environment import check_environment, drop_settings, read_launch
from colornet.errors import InputError

_Result = TypeVar("_Result")

_FOREVER = datetime.timedelta(days=365)

logger = logging.getLogger(__name__)


def share_gpus(*, cpu: bool) -> bool:
    """Tell whether several processes of this machine work on one GPU, which NCCL refuses."""
    gpus = 0 if cpu else torch.cuda.device_count()
    return 0 < gpus < read_launch().local_processes


def connect(*, cpu: bool, mixed_precision: str = "no", handlers: Sequence[Any] = ()) -> Accelerator:
    """Connect the processes: over NCCL on GPUs, over gloo on CPUs and where GPUs are shared.

    Nothing but the arguments and the launch decides: raises `InputError` for settings in the environment that would,
    and where the processes would stay unconnected. `handlers` are further ones of Accelerate.
    """
    check_environment(cpu=cpu)
    drop_settings()
    launch, shared = read_launch(), share_gpus(cpu=cpu)
    over_gloo = [InitProcessGroupKwargs(backend="gloo")] if shared else []
    accelerator = Accelerator(mixed_precision=mixed_precision, cpu=cpu, kwargs_handlers=[*handlers, *over_gloo])
    if shared and launch.local_rank == 0:
        advice = "of this machine's GPUs and talk through its memory: start one per GPU to be fast."
        logger.warning("%d processes share %d %s", launch.local_processes, torch.cuda.device_count(), advice)
    if accelerator.num_processes != launch.processes:
        advice = "on CPUs, add --cpu (launch/accelerate/multi_cpu.yaml)"
        raise InputError(f"{launch.processes} processes were launched and each of them would work alone: {advice}.")
    return accelerator


@contextmanager
def connected(*, cpu: bool) -> Iterator[Accelerator]:
    """Connect the processes that were launched, for work in fp32, and disconnect them at the end."""
    accelerator = connect(cpu=cpu)
    try:
        yield accelerator
    finally:
        accelerator.end_training()  # otherwise gloo's threads abort one exit in eight (torch 2.14)


def wait_for_all(accelerator: Accelerator) -> None:
    """Wait until every process has come here.

    Accelerate's own barrier names the GPU with the number of the process on its machine, which need not exist.
    """
    accelerator.gather(torch.zeros(1, device=accelerator.device)).cpu()


@contextmanager
def local_first(accelerator: Accelerator) -> Iterator[None]:
    """Run a block in the first process of each machine, then in its others; leave it when all have ended it.

    That holds where the block fails, too. Accelerate's `local_main_process_first` waits in collectives, which fail
    after 10 minutes over NCCL and 30 over gloo. To download or to decode may take longer, so this waits without a
    limit, over gloo, whose connections break where a process ends.
    """
    if not torch.distributed.is_initialized():
        yield
        return
    wait_for_all(accelerator)  # fails at once where a process has ended, for which making a group would wait
    group = cast(ProcessGroup, torch.distributed.new_group(backend="gloo", timeout=_FOREVER))  # all are its members
    first = accelerator.is_local_main_process
    if not first:
        torch.distributed.barrier(group)
    try:
        yield
    finally:
        if first:
            torch.distributed.barrier(group)
        torch.distributed.barrier(group)
        torch.distributed.destroy_process_group(group)


def on_all(accelerator: Accelerator, work: Callable[[], _Result]) -> _Result:
    """Do what may fail on some of the processes, such as reading a file: then all of them raise its `InputError`.

    Otherwise the others would wait, in their next exchange, for a process that has ended.
    """
    problem = None
    try:
        result = work()
    except InputError as error:
        problem = str(error)
    problems = [found for found in gather_object([problem]) if found is not None]
    if problems:
        raise InputError(problem or problems[0])
    return result
