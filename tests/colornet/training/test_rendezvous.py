"""Processes of one start find each other, whatever those before them left in the store."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch._C._distributed_c10d import TCPStore

from colornet.errors import LostProcessError
from colornet.training.rendezvous import agree_on_start


def client(server: TCPStore) -> TCPStore:
    timeout = datetime.timedelta(seconds=60)
    return TCPStore("127.0.0.1", server.port, is_master=False, timeout=timeout, wait_for_workers=False)


@pytest.fixture
def server() -> TCPStore:
    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def test_each_start_has_a_name_that_all_know(server: TCPStore) -> None:
    names = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):  # in which they come
        with ThreadPoolExecutor(3) as pool:
            found = [pool.submit(agree_on_start, client(server), rank, 3) for rank in order]
            (name,) = {future.result(timeout=60) for future in found}
        names.append(name)
    assert len(set(names)) == 3


def test_what_a_dead_process_asked_is_not_taken_for_a_question_of_its_successor(server: TCPStore) -> None:
    client(server).set("question-1", "dead")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(agree_on_start, client(server), 0, 2)
        assert client(server).get("answer-dead")  # answered, and yet not counted
        assert not first.done()
        assert agree_on_start(client(server), 1, 2) == first.result(timeout=60)


def test_the_first_does_not_wait_for_ever(server: TCPStore) -> None:
    with pytest.raises(LostProcessError, match="another one has not come"):
        agree_on_start(client(server), 0, 2, patience=0.3)
