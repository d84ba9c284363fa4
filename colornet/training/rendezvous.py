"""How processes that a launcher may start again find each other, and not the addresses of those before them."""

from __future__ import annotations

import time
import uuid

import torch
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from colornet.errors import LostProcessError

__all__ = ["agree_on_start", "join"]

_PAUSE = 0.05  # seconds


def join(backend: str) -> None:
    """Connect processes that torchrun may start again, by entries of its store that belong to this start alone.

    The store outlives the processes, and torch (2.14) would find the addresses of the dead in it.
    """
    store, rank, world_size = next(rendezvous("env://"))
    start = agree_on_start(store, rank, world_size)
    torch.distributed.init_process_group(
        backend, store=PrefixStore(f"start-{start}", store), rank=rank, world_size=world_size
    )


def agree_on_start(store: Store, rank: int, world_size: int, patience: float = 1800) -> str:
    """Return a name that the processes of one start share, and those of no other start.

    The first process chooses it. Each of the others asks for it under a name of its own, so that no answer is one to a
    process before it. `TORCHELASTIC_RESTART_COUNT` is no such name: each machine counts for itself, and one that merely
    follows the restart of another counts none. The first waits `patience` seconds for the others.
    """
    if rank > 0:
        question = uuid.uuid4().hex
        store.set(f"question-{rank}", question)
        start = store.get(f"answer-{question}").decode()  # waits for it
        store.add(f"joined-{start}", 1)
        return start
    start = uuid.uuid4().hex
    deadline = time.monotonic() + patience
    while store.add(f"joined-{start}", 0) < world_size - 1:  # a question may still be that of a process before
        if time.monotonic() > deadline:
            raise LostProcessError("Process 0 stops before its first step, because another one has not come.")
        for other in range(1, world_size):
            if store.check([f"question-{other}"]):
                store.set(f"answer-{store.get(f'question-{other}').decode()}", start)
        time.sleep(_PAUSE)
    return start
