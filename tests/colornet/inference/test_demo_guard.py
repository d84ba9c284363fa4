"""The rules of a demo's guard, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from colornet.inference.demo_folder import Disk
from colornet.inference.demo_guard import Guard


def ask(guard: Guard, host: str, **headers: str) -> tuple[int, str]:
    """Send a request, a POST if it has a length, and return status and text; the app answers 200."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"abc", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    pairs = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": "POST" if "content_length" in headers else "GET",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs.items()],
    }
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], sent[1]["body"].decode()


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def guard(folder: Path, host: str, names: tuple[str, ...] = ()) -> Guard:
    return Guard(app, host=host, names=names, max_bytes=100, disk=Disk(folder, 150))


@pytest.mark.parametrize(
    ("host", "names", "own", "foreign"),
    [
        ("127.0.0.1", (), ["localhost:1", "127.0.0.1"], ["192.168.1.7:1", "mill.example"]),
        ("192.168.1.7", (), ["localhost", "192.168.1.7:1"], ["192.168.1.8", "mill.example"]),
        ("Mill.example", (), ["mill.EXAMPLE:1", "[::1]"], ["192.168.1.7"]),
        ("0.0.0.0", ("mill.example",), ["192.168.1.7:1", "[fe80::1]:1", "mill.example"], ["evil.example", "192.168"]),
        ("::", (), ["192.168.1.7:1", "localhost"], ["evil.example", "", "[", "a:b:c"]),
    ],
)
def test_names(host: str, names: tuple[str, ...], own: list[str], foreign: list[str], tmp_path: Path) -> None:
    rules = guard(tmp_path, host, names)
    assert [ask(rules, name)[0] for name in own] == [200] * len(own)
    assert [ask(rules, name)[0] for name in foreign] == [403] * len(foreign)


def test_origins(tmp_path: Path) -> None:
    rules = guard(tmp_path, "127.0.0.1", ("mill.example",))
    for origin in ("http://127.0.0.1:7", "https://mill.example"):  # the latter through a proxy
        assert ask(rules, "127.0.0.1:7", origin=origin) == (200, "")
    for origin in ("http://127.0.0.1:8", "http://evil.example", "null", "http://[", "", "\x1b[2J"):
        status, said = ask(rules, "127.0.0.1:7", origin=origin)
        assert status == 403
        assert said.isprintable()


def test_uploads(tmp_path: Path) -> None:
    rules = guard(tmp_path, "127.0.0.1")
    assert ask(rules, "localhost", content_length="100") == (200, "")
    assert ask(rules, "localhost", content_length="101")[0] == 413
    for length in ("", "-1", "many"):
        assert ask(rules, "localhost", content_length=length) == (411, "The size of the upload is not said.")
    with rules.disk.writing(60):
        status, said = ask(rules, "localhost", content_length="100")
    assert (status, said) == (507, "The upload cannot be taken: the disk space of the demo is in use, try again later.")
    assert ask(rules, "localhost", content_length="100") == (200, "")
