"""Storing a file's events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from django.db import DatabaseError, DataError, IntegrityError, transaction

from apps.eventlog.errors import LogUnavailable
from apps.eventlog.places import Line
from apps.ingest.files import Block
from apps.ingest.jobs import Job, Rejected, Stored, rejected
from apps.ingest.writer import batch


class Counts(msgspec.Struct):
    """What became of an import's events: received = stored + duplicates + rejected."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    head: int = 0


class Step(msgspec.Struct, frozen=True):
    """One block was stored: the counts up to there, and the rejects in it."""

    counts: Counts
    rejects: list[Rejected]
    read: int  # bytes of the file


def take_in(line: Line, origin: str, blocks: Iterable[Block], counts: Counts) -> Iterator[Step]:
    """Store blocks of events, each with its rejects in one commit, and count them in `counts`.

    May be stopped at any block and done again: what is stored is not stored twice.
    raises  LogUnavailable; what was counted before is stored
    """
    for block in blocks:
        stored, rejects = _store(line.timeline, origin, block)
        counts.received += len(block.envelopes) + len(block.rejects)
        counts.stored += stored.stored
        counts.duplicates += stored.duplicates
        counts.rejected += len(rejects)
        counts.head = stored.head
        yield Step(counts, rejects, block.read)


def _store(timeline: int, origin: str, block: Block) -> tuple[Stored, list[Rejected]]:
    job = Job(timeline, block.envelopes, lambda _: None, block.rejects)
    try:
        try:
            stored = batch.write(timeline, [job])[0]
        except (DataError, IntegrityError):
            stored = batch.write_what_can_be(timeline, job)
        late = [
            rejected(
                block.causes.get(p.index, block.envelopes[p.index].data), p, origin=origin,
                line=block.numbers[p.index],
            )
            for p in stored.problems
        ]  # fmt: skip
        if late:
            with transaction.atomic():
                batch.keep(timeline, late)
    except DatabaseError as error:
        raise LogUnavailable(f"The log cannot be written: {error}") from error
    return stored, sorted([*block.rejects, *late], key=lambda r: r.line)
