"""What a demo answers: requests from its own page, for names that are its own, with uploads that it has room for."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from colornet.errors import printable
from colornet.inference.demo_folder import Disk, NoRoomError

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_READ_ANYWAY = 2**30  # bytes of a refused upload that are read and dropped: browsers show no answer before its end


class Guard:
    """ASGI middleware that refuses, in a sentence, what is not from the page itself or is too large.

    Another site could let its own name lead to this machine (DNS rebinding), so the Host header must name this server:
    the loopback, the `host` that it listens at, or one of `names`. If it listens at all addresses, numerical ones and
    the name of the machine pass, too. Another site could also send uploads, so an Origin must be that of the page.
    """

    def __init__(
        self, app: Callable[..., Awaitable[None]], *, host: str, names: Sequence[str], max_bytes: int, disk: Disk
    ) -> None:
        self.app = app
        self.everywhere = _is_address(host) and ipaddress.ip_address(host).is_unspecified
        self.proxies = {name.lower() for name in names}  # which may change the Host header
        self.names = {*_LOOPBACK, host.lower(), *self.proxies}
        if self.everywhere:
            self.names.add(socket.gethostname().lower())
        self.max_bytes, self.disk = max_bytes, disk

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_own(host):
            advice = "open it by its address, or start it with --names and this one"
            await _refuse(send, 403, f"{host or 'No name'!r} is not a name of this demo: {advice}.")
        elif origin is not None and not self._is_from_here(origin, host):
            await _refuse(send, 403, f"The page at {origin!r} is not this demo: it may not use it.")
        elif scope.get("method") != "POST":
            await self.app(scope, receive, send)
        elif not (length := headers.get("content-length", "")).isdecimal():
            await _refuse(send, 411, "The size of the upload is not said.")
        elif int(length) > self.max_bytes:
            await _drop(receive)
            await _refuse(send, 413, f"The upload has more than {self.max_bytes // 2**20} MB: choose a smaller file.")
        else:
            await self._pass(int(length), scope, receive, send)

    async def _pass(self, size: int, scope: _Message, receive: _Receive, send: _Send) -> None:
        try:
            with self.disk.writing(size):
                await self.app(scope, receive, send)
        except NoRoomError as error:
            await _drop(receive)
            await _refuse(send, 507, f"The upload cannot be taken: {error.strerror}.")

    def _is_own(self, host: str) -> bool:
        name = _host_name(f"//{host}")
        return name in self.names or (self.everywhere and _is_address(name))

    def _is_from_here(self, origin: str, host: str) -> bool:
        place = _split(origin)
        return place.netloc.lower() == host.lower() or _host_name(origin) in self.proxies


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _host_name(url: str) -> str:
    return _split(url).hostname or ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _drop(receive: _Receive) -> None:
    """Read the rest of a request, up to a limit."""
    read, more = 0, True
    while more and read < _READ_ANYWAY:
        message = await receive()
        read += len(message.get("body", b""))
        more = message.get("more_body", False)


async def _refuse(send: _Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": printable(reason).encode()})
