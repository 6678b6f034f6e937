"""A request's body on its way in, and how much of all bodies is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from apps.ingest.bodies import Plain
from apps.ingest.problems import Refused

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Gone(Exception):
    """The client went away before it had sent everything; nothing is answered or stored."""


class Hold:
    """What one request holds."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.bytes = 0

    def grow(self, size: int) -> None:
        """Note more bytes; Refused (429) when those of all requests are too many."""
        self.bytes += size
        self._held.bytes += size
        if self._held.bytes > self._held.limit:
            raise Refused(
                429, "queue_full", "too many bodies are on their way at once; retry", retry_after=1
            )


class Held:
    """Bytes of bodies in memory, of all requests together, until their events are stored."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Give one request its share, and take it back in the end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self.bytes -= hold.bytes


class Incoming:
    """The body of one request, decoded as it comes."""

    def __init__(self, receive: Receive, decoder: Plain) -> None:
        self._receive, self._decoder = receive, decoder

    async def whole(self, limit: int, hold: Hold, *, within: float | None) -> bytes:
        """Return all of it.

        limit   bytes it may have, on the wire and decompressed
        within  seconds it may take
        raises  Refused: 400 for a broken encoding, 408, 413, 429; Gone
        """
        if within is None:
            return await self._all(limit, hold)
        try:
            async with asyncio.timeout(within):
                return await self._all(limit, hold)
        except TimeoutError:
            raise too_slow(within) from None

    async def _all(self, limit: int, hold: Hold) -> bytes:
        pieces: list[bytes] = []
        wire, size, more = 0, 0, True
        while more:
            data, more = await self._next()
            wire += len(data)
            for piece in self._decoder.feed(data):
                size += len(piece)
                if size > limit:
                    raise too_big(limit)
                hold.grow(len(piece))
                pieces.append(piece)
            if wire > limit:
                raise too_big(limit)
        self._decoder.end()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pieces(self, *, pause: float, idle: float) -> AsyncIterator[bytes]:
        """Yield it piece by piece; b"" when nothing came for `pause` seconds.

        idle    seconds without a byte after which it is given up
        raises  Refused: 400 for a broken encoding, 408; Gone
        """
        loop = asyncio.get_running_loop()
        last, coming = loop.time(), None
        try:
            while True:
                # Never cancelled by a pause: a server may lose what it was about to hand over.
                coming = coming or asyncio.ensure_future(self._next())
                done, _ = await asyncio.wait({coming}, timeout=pause)
                if not done:
                    if loop.time() - last > idle:
                        raise too_slow(idle)
                    yield b""
                    continue
                (data, more), coming, last = coming.result(), None, loop.time()
                for piece in self._decoder.feed(data):
                    yield piece
                if not more:
                    self._decoder.end()
                    return
        finally:
            if coming is not None:
                coming.cancel()

    async def _next(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Gone
        return message.get("body", b""), message.get("more_body", False)


def too_big(limit: int) -> Refused:
    """Return the refusal of a body that is too long."""
    return Refused(
        413, "body_too_big",
        f"a request holds at most {limit} bytes, decompressed (EVDEBUG_MAX_BODY). Send less at "
        "once, or send application/x-ndjson, which has no such bound",
    )  # fmt: skip


def too_slow(seconds: float) -> Refused:
    """Return the refusal of a body that does not come."""
    return Refused(408, "too_slow", f"the body did not come within {seconds:g} s; send it again")
