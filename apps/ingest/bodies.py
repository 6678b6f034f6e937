"""Request bodies as they come: decompressed under a cap, and cut into lines of bounded length."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from apps.ingest.jobs import KEPT_OF_A_REJECT
from apps.ingest.problems import Refused, shown

PIECE = 65_536  # bytes decompressed at once: a bomb is noticed this early
ENCODINGS = "gzip, deflate or identity"


class Plain:
    """A body that is sent as it is."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, in pieces."""
        if data:
            yield data

    def end(self) -> None:
        """Check that the body is whole; Refused (400) when not."""


class Inflate(Plain):
    """A gzip body of one or more members, or a deflate body with or without zlib's header."""

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding == "gzip"
        self._stream = zlib.decompressobj(31) if self._gzip else None
        self._head = b""  # of a deflate body, until there is enough to tell which it is
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        if self._stream is None:
            data = self._head = self._head + data
            if len(data) < 2:
                return
            self._stream = _deflate(data)
        stream = self._stream
        while data:
            if stream.eof:
                if not self._gzip:
                    raise _bad("there is more after its end")
                stream = self._stream = zlib.decompressobj(31)
            try:
                piece = stream.decompress(data, PIECE)
            except zlib.error as error:
                raise _bad(str(error)) from None
            data = stream.unused_data or stream.unconsumed_tail
            if piece:
                yield piece
            elif not stream.eof and not data:
                return

    def end(self) -> None:
        if self._begun and (self._stream is None or not self._stream.eof):
            raise _bad("it ends too early")


def _deflate(data: bytes) -> zlib._Decompress:
    """Choose by the first two bytes: what HTTP calls deflate is zlib's, but many send it bare."""
    header = int.from_bytes(data[:2], "big")
    return zlib.decompressobj(15 if data[0] & 15 == 8 and header % 31 == 0 else -15)


PLAIN = Plain()


def decoder(encodings: Sequence[bytes]) -> Plain:
    """Return what turns the wire's bytes into the body's.

    raises  Refused (415) for an encoding, or several of them, that is not read here
    """
    if not encodings:
        return PLAIN
    encoding = b", ".join(encodings).decode("latin-1").strip().lower()
    if encoding in {"", "identity"}:
        return PLAIN
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return Inflate(encoding.removeprefix("x-"))
    raise Refused(
        415, "unsupported_encoding",
        f"Content-Encoding {shown(encoding)} is not taken here; accepted is {ENCODINGS}",
    )  # fmt: skip


class Cut(bytes):
    """The beginning of a line that was too long to be kept whole; `size` is all it had."""

    size: int


class Lines:
    """Cuts a stream into lines without their ends, and holds at most one line of `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = self._size = 0  # bytes kept of the line under way, and bytes it has

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes."""
        *whole, rest = data.split(b"\n")
        if whole and (self._parts or self._size):
            whole[0] = self._finish(whole[0])
        if any(len(line) > self._limit for line in whole):
            whole = [_cut(line, len(line)) if len(line) > self._limit else line for line in whole]
        self._grow(rest)
        return whole

    def end(self) -> list[bytes]:
        """Return the last line, if it had no end."""
        return [self._finish(b"")] if self._size else []

    def _grow(self, data: bytes) -> None:
        self._size += len(data)
        room = self._limit - self._held
        if data and room > 0:
            self._parts.append(data[:room])
            self._held += len(self._parts[-1])

    def _finish(self, data: bytes) -> bytes:
        self._grow(data)
        line, size = b"".join(self._parts), self._size
        self._parts, self._held, self._size = [], 0, 0
        return line if size <= self._limit else _cut(line, size)


def _cut(line: bytes, size: int) -> Cut:
    if isinstance(line, Cut):
        return line
    cut = Cut(line[:KEPT_OF_A_REJECT])
    cut.size = size
    return cut


def _bad(why: str) -> Refused:
    return Refused(400, "bad_encoding", f"the compressed body cannot be read: {why}")
