"""Files of events, read a block at a time: lines, plain or compressed, or one JSON array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import msgspec

from apps.eventlog.envelope import Envelope
from apps.ingest import cloudevents, decode, plain
from apps.ingest.bodies import Inflate, Lines, Plain
from apps.ingest.jobs import Rejected, rejected
from apps.ingest.mapping import mapped
from apps.ingest.otlp import spans, wire
from apps.ingest.problems import Invalid, Problem, Refused
from apps.ingest.split import elements_of, members_of, utf8

PIECE = 1024 * 1024
ARRAY = 256 * 1024 * 1024  # bytes a file that is one array may have; it is taken apart in memory
AT_ONCE = 5000  # events, or
BYTES_AT_ONCE = 8 * 1024 * 1024
GZIP = b"\x1f\x8b"
FORMATS = ("auto", "cloudevents", "jsonl", "otlp")


class Unreadable(Exception):
    """A file cannot be read to its end; the text says why. What was yielded before is fine."""


@dataclass(slots=True)
class Block:
    """Events to be stored together, with the rejects among them."""

    envelopes: list[Envelope] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # the line of each envelope, from 1
    causes: dict[int, bytes] = field(default_factory=dict)  # index -> its line, if it names a cause
    rejects: list[Rejected] = field(default_factory=list)
    size: int = 0
    read: int = 0  # bytes of the file so far

    @property
    def full(self) -> bool:
        """Whether it is time to store it."""
        return len(self.numbers) + len(self.rejects) >= AT_ONCE or self.size >= BYTES_AT_ONCE


@dataclass(frozen=True, slots=True)
class Form:
    """How lines are read. A line without an id gets one from its file's name and its place there,
    so that importing a file again stores nothing twice."""

    name: str  # of FORMATS
    mapping: Mapping[str, str]
    limits: decode.Limits

    def take(self, raw: bytes, origin: str, number: int) -> Envelope | Problem | None:
        """Return what a line is; None for a blank one."""
        usual = self.name != "jsonl" and not self.mapping and type(raw) is bytes and raw.isascii()
        if usual and (envelope := cloudevents.quick(raw)) is not None:
            return envelope
        if decode.is_blank(raw):
            return None

        def careful(line: bytes) -> Envelope:
            return self._careful(line, _identity(origin, number, line))

        return decode.item(careful, raw, number - 1, self.limits)

    def _careful(self, raw: bytes, fallback_id: str) -> Envelope:
        utf8(raw)
        if self.mapping:
            return mapped(raw, self.mapping, fallback_id=fallback_id)
        if self.name == "cloudevents":
            return cloudevents.one(raw)
        members = members_of(raw)
        if self.name == "auto" and "specversion" in members:
            return cloudevents.one(raw)
        return plain.of_members(members, fallback_id=fallback_id)


def blocks(path: str, source: BinaryIO, form: Form) -> Iterator[Block]:
    """Yield the events of a file, in order, in blocks of bounded size.

    raises  Unreadable
    """
    origin, number, block = Path(path).name, 0, Block()
    of_spans = form.name == "otlp"
    try:
        for raw, read in _documents(path, source, form) if of_spans else _lines(path, source, form):
            number += 1
            if of_spans:
                _add_spans(block, raw, origin, number, form.limits)
            else:
                _add(block, form.take(raw, origin, number), raw, origin, number)
            block.read = read
            if block.full:
                yield block
                block = Block(read=read)
    except Unreadable as error:
        yield block
        raise Unreadable(f"{error} after line {number}") from None
    yield block


def _add(
    block: Block, item: Envelope | Problem | None, raw: bytes, origin: str, number: int
) -> None:
    block.size += len(raw)
    if isinstance(item, Envelope):
        if item.cause is not None:
            block.causes[len(block.envelopes)] = raw
        block.envelopes.append(item)
        block.numbers.append(number)
    elif item is not None:
        size = getattr(raw, "size", len(raw))
        block.rejects.append(rejected(raw, item, origin=origin, line=number, size=size))


def _add_spans(block: Block, raw: bytes, origin: str, number: int, limits: decode.Limits) -> None:
    """Add what the spans of one request are; its number stands for the line of each of them."""
    if decode.is_blank(raw):
        return
    block.size += len(raw)
    problems: list[Problem] = []
    try:
        found = wire.spans(raw, wire.JSON if raw.lstrip()[:1] == b"{" else wire.PROTOBUF)
        envelopes, problems = spans.records(found, largest=limits.event)
        block.envelopes += envelopes
        block.numbers += [number] * len(envelopes)
    except Refused as refused:
        problems = [Problem(number - 1, refused.code, refused.detail)]
    block.rejects += [rejected(raw, p, origin=origin, line=number) for p in problems]


def _documents(path: str, source: BinaryIO, form: Form) -> Iterator[tuple[bytes, int]]:
    """Yield the requests of a file with their end in it: one a line, or else the file is one."""
    pieces = _pieces(path, source)
    first, read = next(pieces, (b"", 0))
    start = first.lstrip()
    line = start.partition(b"\n")[0]
    if start[:1] == b"[":
        yield from _elements(path, first, pieces, read)
    elif start[:1] == b"{" and (len(line) < len(start) or len(first) < PIECE) and _is_json(line):
        lines = Lines(max(form.limits.event, ARRAY))
        for piece, so_far in chain([(first, read)], pieces):
            read = so_far
            for each in lines.feed(piece):
                yield each, read
        for each in lines.end():
            yield each, read
    elif first:
        yield _all(path, first, pieces), read


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


def _all(path: str, first: bytes, rest: Iterator[tuple[bytes, int]]) -> bytes:
    held, size = [first], len(first)
    for piece, _ in rest:
        held.append(piece)
        size += len(piece)
        if size > ARRAY:
            raise Unreadable(f"{path} is one request of more than {ARRAY} bytes; write one a line")
    return b"".join(held)


def _lines(path: str, source: BinaryIO, form: Form) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of a file, or the elements of the array it is, and the bytes read so far."""
    lines, first, read = Lines(form.limits.event), True, 0
    pieces = _pieces(path, source)
    for piece, read in pieces:
        if first:
            piece, first = piece.removeprefix(decode.BOM), False
            if piece.lstrip()[:1] == b"[":
                yield from _elements(path, piece, pieces, read)
                return
        for line in lines.feed(piece):
            yield line, read
    for line in lines.end():
        yield line, read


def _elements(
    path: str, piece: bytes, rest: Iterator[tuple[bytes, int]], read: int
) -> Iterator[tuple[bytes, int]]:
    held, size = [piece], len(piece)
    for piece, read in rest:  # noqa: B007 - the last is all of the file
        held.append(piece)
        size += len(piece)
        if size > ARRAY:
            raise Unreadable(
                f"{path} is one array of more than {ARRAY} bytes; write one event a line instead"
            )
    try:
        for raw in elements_of(b"".join(held)):
            yield bytes(raw), read
    except Invalid as error:
        raise Unreadable(f"{path} is no array of events: {error.detail}") from None


def _pieces(path: str, source: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield a file's content, decompressed, and the bytes read of it so far."""
    read, decoder = 0, Plain()
    try:
        while data := source.read(PIECE):
            if not read and data.startswith(GZIP):
                decoder = Inflate("gzip")
            read += len(data)
            for piece in decoder.feed(data):
                yield piece, read
        decoder.end()
    except Refused as refused:
        raise Unreadable(f"{path}: {refused.detail}") from None
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror or error}") from None


def _identity(origin: str, number: int, line: bytes) -> str:
    seed = b"%s\0%d\0" % (origin.encode("utf-8", "surrogateescape"), number)
    h = blake2b(seed + line, digest_size=16).hexdigest()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
