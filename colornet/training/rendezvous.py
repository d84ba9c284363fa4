"""Connect processes that a launcher may restart, without using addresses of the processes before the restart."""

from __future__ import annotations

import time
import uuid

import torch
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from colornet.errors import LostProcessError

_PAUSE = 0.05  # seconds


def join(backend: str) -> None:
    """Connect processes that torchrun may restart; its store outlives them and still holds addresses of ended ones."""
    store, rank, world_size = next(rendezvous("env://"))
    start = agree_on_start(store, rank, world_size)
    own = PrefixStore(f"start-{start}", store)
    torch.distributed.init_process_group(backend, store=own, rank=rank, world_size=world_size)


def agree_on_start(store: Store, rank: int, world_size: int, patience: float = 1800) -> str:
    """Return a name that the processes of one start share, and those of no other start.

    The first process chooses it and waits `patience` seconds for the others. Each of these asks with its own question,
    so that it never gets the answer to a process of an earlier start. `TORCHELASTIC_RESTART_COUNT` differs between
    machines: each counts only its own restarts.
    """
    if rank > 0:
        question = uuid.uuid4().hex
        store.set(f"question-{rank}", question)
        start = store.get(f"answer-{question}").decode()  # waits until the answer is there
        store.add(f"joined-{start}", 1)
        return start
    start = uuid.uuid4().hex
    deadline = time.monotonic() + patience
    while store.add(f"joined-{start}", 0) < world_size - 1:  # a question may be that of an earlier process
        if time.monotonic() > deadline:
            raise LostProcessError("Process 0 stops before its first step, because another one has not come.")
        for other in range(1, world_size):
            if store.check([f"question-{other}"]):
                store.set(f"answer-{store.get(f'question-{other}').decode()}", start)
        time.sleep(_PAUSE)
    return start
