"""Downloads from servers that are slow, cut off and lie."""

from __future__ import annotations

import itertools
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from colornet.data import download as module
from colornet.data.download import DownloadError, download, one_process
from tests.server import reply, reply_with_range, serving

CONTENT = np.random.default_rng(0).bytes(1_000_000)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.3)


def test_a_connection_that_breaks_again_and_again_is_continued(tmp_path: Path) -> None:
    with serving(lambda request: reply_with_range(request, CONTENT, stop=100_001)) as server:
        download(f"{server.address}/file", tmp_path / "file", largest=2**20, progress=False)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == ["", *(f"bytes={n}-" for n in range(100_001, 10**6, 100_001))]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_an_earlier_call_received_is_not_asked_for_again(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:999_000])
    with serving(lambda request: reply_with_range(request, CONTENT)) as server:
        download(f"{server.address}/file", tmp_path / "file", largest=2**20, progress=False)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests == [("GET /file", "bytes=999000-")]


@pytest.mark.parametrize("size", [0, 1_000_000, 1_000_001])
def test_a_part_may_be_empty_whole_or_too_long(size: int, tmp_path: Path) -> None:
    """Of the last, the server has no rest: it is not of this file."""
    (tmp_path / "file.part").write_bytes((CONTENT + b"x")[:size])
    with serving(lambda request: reply_with_range(request, CONTENT)) as server:
        download(f"{server.address}/file", tmp_path / "file", largest=2**20, progress=False)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(server.requests) == (2 if size > len(CONTENT) else 1)


@pytest.mark.parametrize("shift", [None, 1])
def test_a_server_may_ignore_what_was_asked_for(shift: int | None, tmp_path: Path) -> None:
    """It sends the whole file, or another range than it was asked for."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        if shift is None:
            reply(request, CONTENT)
        elif len(server.requests) == 1:
            reply(request, CONTENT, 206, Content_Range=f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")

    (tmp_path / "file.part").write_bytes(b"something else")
    with serving(answer) as server:
        download(f"{server.address}/file", tmp_path / "file", largest=2**20, progress=False)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    status = itertools.chain([503, 429, 500], itertools.repeat(200))
    with serving(lambda request: reply(request, CONTENT, next(status))) as server:
        download(f"{server.address}/file", tmp_path / "file", largest=2**20, progress=False)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(server.requests) == 4


def hang(request: BaseHTTPRequestHandler) -> None:
    reply(request, b"", length=10)
    time.sleep(0.5)


def drip(request: BaseHTTPRequestHandler) -> None:
    """Send a byte at a time, so that no read waits for long."""
    reply(request, b"", length=10**6)
    for _ in range(100):
        request.wfile.write(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("answer", "reason", "requests"),
    [
        (lambda request: reply(request, status=404), "HTTP status 404", 1),
        (lambda request: reply(request, status=403), "HTTP status 403", 1),
        (lambda request: reply(request, status=503), "HTTP status 503", 2),
        (lambda request: reply(request, b"<html>Log in", Content_Type="text/html"), "a web page came", 1),
        (lambda request: reply(request, b"", length=10**9), "a file of 1,000,000,000 bytes came", 1),
        (lambda request: reply(request, CONTENT * 2, length=-1), "more than 1,048,576 bytes came", 1),
        (lambda request: reply(request, b"", length=10), "ended after 0 of 10 bytes", 2),
        (hang, "nothing arrives for 0 seconds", 2),
    ],
)  # fmt: skip
def test_a_lie_ends_with_its_reason(
    answer: object, reason: str, requests: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    with serving(answer) as server, pytest.raises(DownloadError, match=reason):  # type: ignore[arg-type]
        download(f"{server.address}/file", tmp_path / "file", largest=2**20, progress=False)
    assert len(server.requests) == requests
    assert not (tmp_path / "file").exists()


def test_a_trickle_is_given_up_and_what_came_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 0)
    part = tmp_path / "file.part"
    with serving(drip) as server, pytest.raises(TimeoutError, match="bytes arrive per second"):
        module._receive(f"{server.address}/file", part, 0, 2**20, False)
    assert set(part.read_bytes()) == {ord("x")}


def test_an_address_that_is_none_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="it is not an address"):
        download("junk/file", tmp_path / "file", largest=10, progress=False)


def test_no_server_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="Connection refused"):
        download("http://127.0.0.1:9/file", tmp_path / "file", largest=1, progress=False)


def test_the_others_wait_for_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    order = []

    def second() -> None:
        with one_process(tmp_path):
            order.append("second")

    with one_process(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        while not caplog.messages:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert caplog.messages == [f"Waiting for another process that works in '{tmp_path}'."]
    with FileLock(tmp_path / ".lock").acquire(timeout=0):
        pass
