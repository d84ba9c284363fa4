"""A web server in a thread that answers as a test says, well or badly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """What runs: its address, and the requests that came, as (method and path, Range)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[tuple[str, str]] = []


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    """Serve on a free port of this machine until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.requests.append((f"{self.command} {self.path}", self.headers.get("Range", "")))
            try:
                answer(self)
            except OSError:  # the client has gone
                self.close_connection = True

        do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 – named by http.server

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

    with Quiet(("127.0.0.1", 0), Handler) as http, pytest.MonkeyPatch.context() as environment:
        for name in ("no_proxy", "NO_PROXY"):
            environment.setenv(name, "127.0.0.1")
        server = Server(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def reply(
    request: BaseHTTPRequestHandler, content: bytes = b"", status: int = 200, length: int | None = None, **headers: str
) -> None:
    """Send an answer; `length` is what the server says of it, and -1 says nothing."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    if length != -1:
        request.send_header("Content-Length", str(len(content) if length is None else length))
    if length is not None:
        request.send_header("Connection", "close")
        request.close_connection = True
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)


def reply_with_range(request: BaseHTTPRequestHandler, content: bytes, stop: int | None = None) -> None:
    """Send a file as servers do that understand ranges; cut the connection after `stop` bytes of an answer."""
    asked = request.headers.get("Range")
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
    if asked and start >= len(content):
        reply(request, status=416, Content_Range=f"bytes */{len(content)}")
        return
    rest, headers = content[start:], {}
    if asked:
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    reply(request, rest[:stop], 206 if asked else 200, len(rest), **headers)
