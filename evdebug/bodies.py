"""The body of a request on its way from a connection to the application that reads it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

AHEAD = 1024 * 1024  # bytes a client may be ahead of the application
RESUME = AHEAD // 4


class Client(Protocol):
    """What a body needs of the connection it comes by."""

    def go_on(self) -> None:
        """Tell a client that waits for it to send the body."""

    def pause_client(self) -> None:
        """Stop reading."""

    def resume_client(self) -> None:
        """Read on."""


class Body:
    """The body of a streamed request: what the channel feeds and the application receives."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = self._told = self._gone = False
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self.expects_continue = False

    @property
    def ended(self) -> bool:
        """Whether the client has sent all of it."""
        return self._ended

    def feed(self, data: bytes) -> None:
        """Take a piece from the client, and pause it when the application is far behind."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size > AHEAD and not self._paused:
            self._paused = True
            self._client.pause_client()
        self._wake()

    def end(self) -> None:
        """Note that there is no more."""
        self._ended = True
        self._wake()

    def put_nowait(self, message: dict[str, Any]) -> None:
        """Take daphne's `http.disconnect`: the client is gone, or the answer is complete."""
        self._gone = True
        self._wake()

    async def receive(self) -> dict[str, Any]:
        """Return the next piece, or that there will be none. ASGI's `receive`."""
        if self.expects_continue:
            self.expects_continue = False
            self._client.go_on()
        while True:
            if (self._chunks or self._ended) and not self._told and (self._ended or not self._gone):
                data = b"".join(self._chunks)
                self._chunks, self._size, self._told = [], 0, self._ended
                if self._paused:
                    self._paused = False
                    self._client.resume_client()
                return {"type": "http.request", "body": data, "more_body": not self._ended}
            if self._gone:
                return {"type": "http.disconnect"}
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
