"""Server-sent events, as the HTML standard has them, from bytes in any pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

LINE = 16 * 1024 * 1024  # bytes of one event; what is longer is cut off


class Event(NamedTuple):
    """One event of a stream; `id` is the last one that was given."""

    data: bytes
    event: str
    id: str


class Parser:
    """Reads a stream as it comes."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._event = self._id = ""
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield the events that end in a piece."""
        # A line may end in \r, \n or both; a \r at the end waits for what follows.
        text = (self._rest + piece).removeprefix(b"\xef\xbb\xbf")
        lines = text.replace(b"\r\n", b"\n").split(b"\n")
        self._rest = lines.pop()[-LINE:]
        for line in lines:
            for part in line.split(b"\r"):
                if event := self._line(part):
                    yield event

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._end()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data" and self._size + len(value) <= LINE:
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        return None

    def _end(self) -> Event | None:
        data, event = self._data, self._event
        self._data, self._event, self._size = [], "", 0
        return Event(b"\n".join(data), event, self._id) if data else None
