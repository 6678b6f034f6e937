"""A socket that reads ahead and gathers what is written, for a client that works byte by byte."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AHEAD = 1 << 16  # bytes read at once


class Buffered(socket.socket):
    """A connected socket in place of `plain`, which is not to be used any more."""

    def __init__(self, plain: socket.socket) -> None:
        timeout = plain.gettimeout()
        super().__init__(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self.settimeout(timeout)
        self._ahead = memoryview(b"")
        self._gathered: list[bytes] | None = None

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return at most `size` bytes, of those read ahead while there are some."""
        if not self._ahead:
            found = super().recv(max(size, AHEAD), flags)
            if len(found) <= size:
                return found
            self._ahead = memoryview(found)
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return bytes(taken)

    def pending(self) -> int:
        """Return how many bytes were read ahead: what waits for the socket need not wait."""
        return len(self._ahead)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send, or gather, `data`; return how much of it."""
        if self._gathered is None:
            return super().send(data, flags)
        self._gathered.append(bytes(data))
        return len(data)

    @contextmanager
    def gathering(self, within: float) -> Iterator[None]:
        """Gather what is written in the block, and send it at its end.  raises  OSError"""
        self._gathered = []
        try:
            yield
        finally:
            gathered, self._gathered = b"".join(self._gathered), None
            before = self.gettimeout()
            self.settimeout(within)
            try:
                self.sendall(gathered)
            finally:
                self.settimeout(before)
