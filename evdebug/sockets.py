"""A WebSocket on daphne with back-pressure: what a client does not read is not kept for it.

daphne's own writes into memory without end: one client that never reads cost 1.8 GB in 20 s. Here
`send` of the application returns when the kernel has taken what went before, so that whoever sends
waits, and what a socket holds is bounded by `HELD` and the message at hand.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

from autobahn.twisted.websocket import ConnectionDeny
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import interfaces
from zope.interface import implementer

from evdebug.edge import write

MAX_MESSAGE = 64 * 1024  # bytes a client may send at once; nothing here takes longer ones
HELD = 64 * 1024  # bytes not yet taken by the kernel from which a sender waits; Twisted's own
PING_S = 20
PONG_S = 60  # a client that reads nothing for so long is let go


@implementer(interfaces.IPushProducer)
class Socket(WebSocketProtocol):  # type: ignore[misc]
    """One WebSocket: frames are written at once, and a full socket makes its sender wait."""

    _writable: asyncio.Event

    def connectionMade(self) -> None:
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport.unregisterProducer()  # the HTTP channel this connection was
        self.transport.registerProducer(self, True)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Take what came: a short text between messages at once, all else the long way.

        A page answers every few frames with some digits; autobahn takes as long over each of
        these answers as writing to ten sockets does.
        """
        between = self.state == self.STATE_OPEN and not self.data and self.current_frame is None
        text = short(data) if between and not self.inside_message else None
        if text is None:
            super().dataReceived(data)
        else:
            self.onMessage(text, False)

    def pauseProducing(self) -> None:
        """Have senders wait. Called by the transport when it holds too much."""
        self._writable.clear()

    def resumeProducing(self) -> None:
        """Let senders go on. Called by the transport when it is empty again."""
        self._writable.set()

    def stopProducing(self) -> None:
        """Let senders go: the connection is lost."""
        self._writable.set()

    def _closeConnection(self, abort: bool = False) -> None:
        # A transport waits for the end of its producer before it closes.
        self.transport.unregisterProducer()
        self._writable.set()
        super()._closeConnection(abort)

    def onClose(self, clean: bool, code: int | None, reason: str | None) -> None:
        self._writable.set()
        super().onClose(clean, code, reason)

    async def drained(self) -> None:
        """Return once the client, or the kernel for it, has taken what was sent."""
        if not self._writable.is_set():
            await self._writable.wait()

    def push(self, text: bytes) -> bool:
        """Write a text now, without waiting; return False where the client is behind or gone."""
        if self.state != self.STATE_OPEN or not self._writable.is_set():
            return False
        write(self.transport, framed(text))
        return True

    def handle_reply(self, message: dict[str, Any]) -> None:
        if message["type"] != "websocket.close":
            super().handle_reply(message)
        elif self.state == self.STATE_OPEN:
            self.sendClose(code=message.get("code", 1000), reason=message.get("reason") or None)
        elif hasattr(self, "handshake_deferred"):
            code = message.get("code", 0)
            status = code - 4000 if 4400 <= code < 4600 else 403
            self._refuse(status, message.get("reason", ""))

    def _refuse(self, status: int, reason: str) -> None:
        """Answer the handshake with a status that says why."""
        self.handshake_deferred.errback(ConnectionDeny(status, reason or "Access denied"))
        del self.handshake_deferred
        self.server.protocol_disconnected(self)

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:
        if self.state == self.STATE_OPEN:
            data = content.encode() if isinstance(content, str) else content
            write(self.transport, header(len(data), binary=binary) + data)


def short(data: bytes) -> bytes | None:
    """Return the text of a client's frame that is a whole message of some ASCII; else None."""
    if len(data) < 6 or data[0] != 0x81 or data[1] != (0x80 | len(data) - 6) or len(data) > 131:
        return None
    mask, body = data[2:6], data[6:]
    text = bytes(byte ^ mask[n & 3] for n, byte in enumerate(body)) if any(mask) else body
    return text if text.isascii() else None


@lru_cache(maxsize=8)  # one text goes to many sockets, one after the other
def framed(text: bytes) -> bytes:
    """Return a text as one frame."""
    return header(len(text)) + text


def header(size: int, *, binary: bool = False) -> bytes:
    """Return what precedes a whole message from a server: no mask, one frame (RFC 6455, 5.2)."""
    first = b"\x82" if binary else b"\x81"
    if size < 126:
        return first + size.to_bytes(1)
    if size < 1 << 16:
        return first + b"\x7e" + size.to_bytes(2)
    return first + b"\x7f" + size.to_bytes(8)
