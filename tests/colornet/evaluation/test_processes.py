"""The first process of each machine goes first, and nobody waits in vain."""

from __future__ import annotations

import datetime
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch._C._distributed_c10d import TCPStore

from colornet.errors import InputError
from colornet.evaluation.processes import take_turns

MACHINES = ((0, 0), (1, 1), (2, 0), (3, 1))  # rank and local rank of two processes on each of two machines


@pytest.fixture
def server() -> TCPStore:
    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def client(server: TCPStore, limit: float = 60) -> TCPStore:
    timeout = datetime.timedelta(seconds=limit)
    return TCPStore("127.0.0.1", server.port, is_master=False, timeout=timeout, wait_for_workers=False)


def test_the_first_of_each_machine_works_before_its_others_and_all_wait(server: TCPStore) -> None:
    events: list[tuple[str, int]] = []

    def process(rank: int, local_rank: int) -> None:
        # The store itself would wait for half a second: a limit that the slow machine exceeds.
        with take_turns(client(server, 0.5), rank, local_rank, len(MACHINES)):
            events.append(("begins", rank))
            time.sleep(1.0 if rank == 2 else 0.0)
            events.append(("ends", rank))
        events.append(("leaves", rank))

    with ThreadPoolExecutor(len(MACHINES)) as pool:
        for future in [pool.submit(process, *place) for place in reversed(MACHINES)]:
            future.result(timeout=60)
    for first in (0, 2):
        assert events.index(("ends", first)) < events.index(("begins", first + 1))
    assert {kind for kind, _ in events[-4:]} == {"leaves"}


def test_a_failure_lets_the_others_work(server: TCPStore) -> None:
    """Then all processes can agree on what failed; the next process of the machine finds the same mistake."""

    def process(rank: int, local_rank: int) -> None:
        with take_turns(client(server), rank, local_rank, len(MACHINES)):
            if rank in (2, 3):
                raise InputError(f"not on this machine, {rank}")

    with ThreadPoolExecutor(len(MACHINES)) as pool:
        futures = [pool.submit(process, *place) for place in MACHINES]
        errors = [future.exception(timeout=60) for future in futures]
    assert [type(error) for error in errors] == [type(None), type(None), InputError, InputError]
