"""Let one process of each machine prepare what its others then find, however long that takes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from torch.distributed.distributed_c10d import PrefixStore, Store, _get_default_store

from colornet.errors import LostProcessError

_PAUSE = 0.1  # seconds
_turns = itertools.count()  # all processes take the same ones in the same order


@contextmanager
def local_main_first(accelerator: Accelerator) -> Iterator[None]:
    """Run a block in the first process of each machine, then in its others; leave it when all have ended it.

    Accelerate's `local_main_process_first` waits in collectives, which fail after 10 minutes over NCCL and 30 over
    gloo. To download or to decode may take longer, so this waits without a limit. Raises LostProcessError if the block
    failed in another process.
    """
    if not torch.distributed.is_initialized():
        yield
        return
    store = PrefixStore(f"turn-{next(_turns)}", _get_default_store())
    with take_turns(store, accelerator.process_index, accelerator.local_process_index, accelerator.num_processes):
        yield


@contextmanager
def take_turns(store: Store, rank: int, local_rank: int, world_size: int) -> Iterator[None]:
    """Run a block as `local_main_first` does, with a store of their own for the processes to talk through."""
    first = f"first-{rank - local_rank}"  # the ranks of a machine follow each other
    if local_rank:
        _wait(lambda: store.check([first]))
    try:
        yield
    except BaseException:
        store.set("failed", str(rank))
        raise
    finally:
        if not local_rank:  # also after a failure: the others of the machine then find it by themselves
            store.set(first, "")
    store.add("done", 1)
    _wait(lambda: store.add("done", 0) == world_size or store.check(["failed"]))
    if store.check(["failed"]):
        reason = f"process {store.get('failed').decode()} could not prepare its data: see its message"
        raise LostProcessError(f"Process {rank} stops, because {reason}.")


def _wait(finished: Callable[[], bool]) -> None:
    while not finished():
        time.sleep(_PAUSE)
