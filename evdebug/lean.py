"""The short way for a request to a door that arrives whole in one piece, as most do.

Twisted reads a request line by line into objects, wakes the reactor to write and again to stop
writing; beside a busy writer thread every such system call is a fight for the interpreter. Here a
request is matched at once and answered with a single write. Whatever is out of the ordinary, by a
byte, takes the long way: another method, header folding, an upgrade, a body that is not all there,
a second request behind it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import unquote

from twisted.web.http import RESPONSES

MAX_HEAD = 16_384  # bytes, as Twisted's
_SEEN = rb"!-~\x80-\x84\x86-\xff"  # what a header's value may hold; the edge refuses the rest
_HEAD = re.compile(
    rb"POST (/v1/[!-~]*) HTTP/1\.1\r\n((?:[!#$%%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*"
    rb"(?:[%s](?:[\t %s]*[%s])?)?[ \t]*\r\n)+)\r\n" % (_SEEN, _SEEN, _SEEN)
)
_HEADER = re.compile(rb"([^:]+):[ \t]*(.*?)[ \t]*\r\n")
FAILED = (
    500,
    [(b"content-type", b"application/json")],
    b'{"code":"internal_error","detail":"the application failed; its log says why"}',
)
REMEMBERED = 512  # heads; at most 8 MB


class Head:
    """What a request says before its body, read once for all requests that say the same."""

    __slots__ = ("length", "plan", "scope")

    def __init__(self, scope: dict[str, Any], length: int) -> None:
        self.scope = scope  # of ASGI, without `client` and `server`
        self.length = length
        self.plan: Any = None  # what an application made of it, for its own use


# Begins to answer the request of a head and a body and returns True, or False for the whole
# application. It answers by the third: status, headers, body; once, at once or later.
Tell = Callable[[int, list[tuple[bytes, bytes]], bytes], None]
AtOnce = Callable[[Head, bytes, Tell], bool]

_heads: dict[bytes, Head] = {}
# Those that say how a message is framed or what becomes of the connection.
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"})


class Connection(Protocol):
    """What a request needs of the connection it came by."""

    def answered(self, data: bytes) -> None:
        """Send the answer and take the next request."""


class Brief:
    """A request that is answered without a task of its own."""

    __slots__ = ("_connection", "_under_way", "ended")

    def __init__(self, connection: Connection, under_way: set[Brief]) -> None:
        self._connection, self._under_way = connection, under_way
        self.ended = False
        under_way.add(self)

    def tell(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send the answer; nothing where nobody is left to answer."""
        if not self.ended:
            self.end()
            self._connection.answered(answer(status, headers, body))

    def end(self) -> None:
        """Note that the request is over, or its client gone."""
        self.ended = True
        self._under_way.discard(self)


class Whole:
    """A request that is here with all its body. Gives ASGI's `receive` and `send`."""

    def __init__(self, connection: Connection, scope: dict[str, Any], body: bytes) -> None:
        self.scope = scope
        self._connection = connection
        self._body: bytes | None = body
        self._start: dict[str, Any] | None = None
        self._pieces: list[bytes] = []
        self._reader: asyncio.Future[None] | None = None
        self.ended = False  # answered, or nobody is left to answer

    async def receive(self) -> dict[str, Any]:
        """Return the body, and after it only that there is nobody any more."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Take the answer, and pass it on when it is complete."""
        if self.ended:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._pieces.append(message.get("body", b""))
        if not message.get("more_body", False) and self._start is not None:
            self.end()
            body = b"".join(self._pieces)
            self._connection.answered(answer(self._start["status"], self._start["headers"], body))

    def fail(self) -> None:
        """Answer for an application that ended without an answer."""
        self.end()
        self._connection.answered(answer(*FAILED))

    def end(self) -> None:
        """Note that the request is over, or its client gone."""
        self.ended = True
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return the bytes of a response."""
    lines = [b"HTTP/1.1 %d %s" % (status, RESPONSES.get(status, b""))]
    measured = False
    for name, value in headers:
        lines.append(b"%s: %s" % (name, value))
        measured = measured or name.lower() == b"content-length"
    if not measured:
        lines.append(b"content-length: %d" % len(body))
    lines.append(b"")
    lines.append(body)
    return b"\r\n".join(lines)


def read(data: bytes) -> tuple[Head, bytes] | None:
    """Return head and body of the one request in `data`; None for the long way."""
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD) + 4
    head = data[:end]
    known = _heads.get(head) or _learn(head)
    if known is None or len(data) - end != known.length:
        return None
    return known, data[end:]


def _learn(head: bytes) -> Head | None:
    """Read a head, and remember it: a client's heads differ in the length of the body at most."""
    found = _HEAD.fullmatch(head)
    if found is None:
        return None
    headers = [(name.lower(), value) for name, value in _HEADER.findall(found[2])]
    length = b""
    for name, value in headers:
        if name == b"content-length":
            if length or not value.isdigit() or len(value) > 9:
                return None
            length = value
        elif name in _UNUSUAL or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
    if not length:
        return None
    path, _, query = found[1].partition(b"?")
    scope: dict[str, Any] = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": unquote(path.decode()),
        "raw_path": path, "root_path": "", "scheme": "http", "query_string": query,
        "headers": headers, "asgi": {"version": "3.0"}, "extensions": {"evdebug.whole": {}},
    }  # fmt: skip
    if len(_heads) >= REMEMBERED:
        _heads.clear()
    _heads[head] = Head(scope, int(length))
    return _heads[head]
