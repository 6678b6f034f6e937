"""Handing events to the writer from an event loop: one request's, or a stream's without end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from apps.eventlog.envelope import Envelope
from apps.ingest import decode, marks
from apps.ingest.answers import Report
from apps.ingest.bodies import Lines
from apps.ingest.incoming import Incoming
from apps.ingest.jobs import Job, Rejected, Stored, rejected
from apps.ingest.media import LINES
from apps.ingest.problems import Problem, Refused
from apps.ingest.writer import queue

AT_ONCE = 2000  # lines in one commit, or
BYTES_AT_ONCE = 1024 * 1024
IN_A_THREAD = 512 * 1024  # bytes from which decoding would hold up the other requests
PAUSE_S = 0.2  # a stream that falls silent for this long is stored up to there
IDLE_S = 300
ROOM_S = 0.02  # between two looks for room in the queue


async def hand_in(
    timeline: int,
    envelopes: Sequence[Envelope],
    rejects: Sequence[Rejected] = (),
    *,
    patient: bool = False,
) -> Stored:
    """Return what became of events, after their commit.

    patient  wait for room in the queue rather than be refused
    raises   Refused (429, 503)
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Stored] = loop.create_future()
    job = Job(timeline, envelopes, partial(_settle, future), rejects, loop)
    while not queue.current().submit(job, patient=patient):
        await asyncio.sleep(ROOM_S)
    return await future


def _settle(future: asyncio.Future[Stored], outcome: Stored | Exception) -> None:
    if future.done():  # whoever waited was cancelled
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _unmarked(index: int, item: decode.Item) -> decode.Item:
    """Return what may go into the log: what belongs to a sandbox comes by a request of its own."""
    if isinstance(item, Problem) or not marks.is_marked(item):
        return item
    return Problem(index, "marked", "it belongs to a sandbox; send it in a request, not as a line")


class _Block(NamedTuple):
    """Lines that are being stored while the next ones are read."""

    storing: asyncio.Future[Stored]
    envelopes: Sequence[Envelope]
    indexes: Sequence[int]  # of the envelopes in the stream
    problems: Sequence[Problem]
    numbers: Sequence[int]  # the line of each index from `first` on
    first: int


class Stream:
    """A request of one event a line: any length, in bounded memory, stored as it comes.

    Lines that are no events are kept as rejects, in the commit of their neighbours.
    """

    def __init__(
        self, timeline: int, take: decode.Take, *, origin: str, limits: decode.Limits
    ) -> None:
        self._timeline, self._take, self._limits = timeline, take, limits
        self._origin = origin
        self._report = Report()
        self._lines = 0  # read so far, blank ones too
        self._events = 0
        self._before: _Block | None = None
        self._late: list[Rejected] = []  # found out by the writer

    async def run(self, incoming: Incoming) -> Report:
        """Store all lines and return what became of them.

        raises  Refused, with what was stored by then in its detail; Gone
        """
        try:
            await self._read(incoming)
            await self._settle()
            if self._late or not self._report.received:
                stored = await hand_in(self._timeline, [], self._late, patient=True)
                self._report.head = stored.head
        except Refused as refused:
            raise await self._told(refused) from None
        return self._report

    async def _read(self, incoming: Incoming) -> None:
        lines = Lines(self._limits.event)
        block: list[bytes] = []
        size, begun = 0, False
        async for piece in incoming.pieces(pause=PAUSE_S, idle=IDLE_S):
            if piece and not begun:
                piece, begun = piece.removeprefix(decode.BOM), True
            block += lines.feed(piece)
            size += len(piece)
            if block and (len(block) >= AT_ONCE or size >= BYTES_AT_ONCE or not piece):
                await self._store_all(block)
                block, size = [], 0
        await self._store_all(block + lines.end())

    async def _store_all(self, block: list[bytes]) -> None:
        for at in range(0, len(block), AT_ONCE):
            await self._store(block[at : at + AT_ONCE])

    async def _store(self, block: list[bytes]) -> None:
        """Decode a block while the one before it is written, then queue it."""
        read = partial(decode.lines, block, self._take, first=self._events, limits=self._limits)
        large = sum(map(len, block)) > IN_A_THREAD
        items = await asyncio.to_thread(read) if large else read()
        if any(marks.NAME in line for line in block):
            items = [_unmarked(n, item) for n, item in enumerate(items, self._events)]
        first, base = self._events, self._lines + 1
        numbers: Sequence[int] = range(base, base + len(block))
        if len(items) != len(block):
            numbers = [base + n for n, line in enumerate(block) if not decode.is_blank(line)]
        self._lines += len(block)
        self._events += len(items)
        problems = [item for item in items if isinstance(item, Problem)]
        envelopes = [item for item in items if not isinstance(item, Problem)]
        bad = {problem.index for problem in problems}
        indexes = [i for i in range(first, first + len(items)) if i not in bad]
        rejects = [
            self._reject(block[numbers[p.index - first] - base], p, numbers[p.index - first])
            for p in problems
        ]
        await self._settle()
        rejects += self._late
        self._late = []
        handed = hand_in(self._timeline, envelopes, rejects, patient=True)
        storing = asyncio.ensure_future(handed)
        storing.add_done_callback(_look_at)
        self._before = _Block(storing, envelopes, indexes, problems, numbers, first)

    async def _settle(self) -> None:
        """Wait for the block before, and count what became of it."""
        before, self._before = self._before, None
        if before is None:
            return
        stored = await before.storing
        for problem in stored.problems:  # a report's data is the line it came in
            number = before.numbers[before.indexes[problem.index] - before.first]
            self._late.append(self._reject(before.envelopes[problem.index].data, problem, number))
        self._report.add(stored, before.indexes, before.problems)

    def _reject(self, line: bytes, problem: Problem, number: int) -> Rejected:
        return rejected(
            line, problem, origin=self._origin, line=number, size=getattr(line, "size", 0),
            content_type=LINES[0],
        )  # fmt: skip

    async def _told(self, refused: Refused) -> Refused:
        """Return a refusal that says what of the stream is stored nevertheless."""
        with suppress(Refused):
            await self._settle()
        so_far = self._report.received
        if not so_far:
            return refused
        detail = refused.detail.replace("Nothing of the request is stored; retry", "Retry")
        return Refused(
            refused.status, refused.code,
            f"{detail}. The first {so_far} events are stored already; send all again, those with "
            "an id are not stored twice",
            retry_after=refused.retry_after,
        )  # fmt: skip


def _look_at(storing: asyncio.Future[Stored]) -> None:
    """Take note of an error nobody may be left to be told about."""
    if not storing.cancelled():
        storing.exception()
