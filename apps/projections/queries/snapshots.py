"""Snapshots: the nearest one before a moment, and keeping those that pay."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from django.db import DatabaseError, connection, transaction
from django.db.models import Count

from apps.eventlog.places import Line, place, position
from apps.projections import blame, packing
from apps.projections.exact import MISSING
from apps.projections.models import Projection, Snapshot

logger = logging.getLogger(__name__)
_numbers: dict[str, int] = {}


class Kept(NamedTuple):
    """A snapshot that was read."""

    position: int
    state: object
    marks: blame.Marks  # MISSING when they were not asked for
    note: str
    size: int  # bytes of the state as JSON


class Made(NamedTuple):
    """A snapshot to keep."""

    position: int
    state: bytes
    marks: bytes
    note: str


def number_of(fingerprint: str) -> int:
    """Return the number of a projection, given out when it is first seen."""
    if fingerprint not in _numbers:
        found, _ = Projection.objects.get_or_create(fingerprint=fingerprint)
        if transaction.get_connection().in_atomic_block:  # it may be rolled back
            return int(found.pk)
        _numbers[fingerprint] = int(found.pk)
    return _numbers[fingerprint]


def nearest(
    line: Line, fingerprint: str, stream: int, *, upto: int, marks: bool = False
) -> Kept | None:
    """Return the last snapshot at or before a position; a fork's are its parent's too."""
    projection = number_of(fingerprint)
    sql = _NEAREST.format(", marks" if marks else "")
    for part in reversed(line.within(0, upto)):
        with connection.cursor() as cursor:  # past the ORM, which takes as long as the rest
            cursor.execute(sql, [projection, stream, part.low, part.high])
            found = cursor.fetchone()
        if found:
            state, size = packing.unpack_state(bytes(found[1]))
            set_by = packing.unpack_marks(state, bytes(found[3])) if marks else MISSING
            return Kept(position(found[0]), state, set_by, found[2], size)
    return None


_NEAREST = (
    "SELECT place, state, note{} FROM projections_snapshot WHERE projection = %s AND stream = %s"
    " AND place > %s AND place <= %s ORDER BY place DESC LIMIT 1"
)


def with_any(line: Line, fingerprint: str, streams: Sequence[int], *, upto: int) -> set[int]:
    """Return those of `streams` that have a snapshot at or before a position."""
    projection = number_of(fingerprint)
    found: set[int] = set()
    for part in line.within(0, upto):
        rows = Snapshot.objects.filter(
            projection=projection, stream__in=streams, place__gt=part.low, place__lte=part.high
        )
        found.update(rows.values_list("stream", flat=True).distinct())
    return found


def busiest(line: Line, fingerprint: str, *, least: int, limit: int) -> tuple[int, ...]:
    """Return the streams with the most snapshots on a line, of those that have so many."""
    counts: Counter[int] = Counter()
    for part in line.within(0, line.head):
        rows = Snapshot.objects.filter(
            projection=number_of(fingerprint), place__gt=part.low, place__lte=part.high
        )
        counts.update(dict(rows.values_list("stream").annotate(Count("pk")).order_by()))
    return tuple(stream for stream, count in counts.most_common(limit) if count >= least)


def positions(line: Line, fingerprint: str, stream: int, *, after: int, upto: int) -> list[int]:
    """Return where a stream has snapshots with after < position <= upto, in order."""
    found: list[int] = []
    for part in line.within(after, upto):
        rows = Snapshot.objects.filter(
            projection=number_of(fingerprint), stream=stream,
            place__gt=part.low, place__lte=part.high,
        )  # fmt: skip
        found += [position(key) for key in rows.order_by("place").values_list("place", flat=True)]
    return found


def keep(line: Line, fingerprint: str, stream: int, made: Sequence[Made]) -> None:
    """Store snapshots. One that cannot be stored costs time later and nothing else."""
    projection = number_of(fingerprint)
    rows = [
        Snapshot(
            projection=projection, stream=stream, place=place(part.timeline, each.position),
            state=each.state, marks=each.marks, note=each.note,
        )
        for each in made
        for part in line.within(each.position - 1, each.position)
    ]  # fmt: skip
    try:
        with transaction.atomic():
            Snapshot.objects.bulk_create(rows, ignore_conflicts=True)
    except DatabaseError as error:
        logger.info("Snapshots were not kept: %s", error)


class Row(Protocol):
    """What a page of events says of each: where it is, and its data, None once erased."""

    @property
    def position(self) -> int: ...
    @property
    def stream(self) -> int: ...
    @property
    def data(self) -> bytes | None: ...


def bases(line: Line, fingerprint: str, page: Sequence[Row]) -> dict[int, Kept]:
    """Return the states kept in place of erased events of a page, by position."""
    erased = [row.position for row in page if row.data is None]
    return kept(line, fingerprint, min(erased) - 1, max(erased)) if erased else {}


def kept(
    line: Line, fingerprint: str, after: int, upto: int, stream: int | None = None
) -> dict[int, Kept]:
    """Return the states kept for events with after < position <= upto, by position."""
    found: dict[int, Kept] = {}
    for part in line.within(after, upto):
        rows = Snapshot.objects.filter(
            projection=number_of(fingerprint), kept=True, place__gt=part.low, place__lte=part.high
        )
        for row in rows if stream is None else rows.filter(stream=stream):
            state, size = packing.unpack_state(bytes(row.state))
            marks = packing.unpack_marks(state, bytes(row.marks))
            found[position(row.place)] = Kept(position(row.place), state, marks, row.note, size)
    return found
