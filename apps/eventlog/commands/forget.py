"""Retention and erasure: data goes, the position stays as a tombstone."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from django.db import connection, transaction

from apps.eventlog import signals, store
from apps.eventlog.commands import append
from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line, Segment, place

SLICE = 2000  # rows erased under one lock: well below 200 ms


def forget(
    line: Line, *, before: int | None = None, stream: str | None = None, keep_state: bool = False
) -> int:
    """Erase data, metadata and key of events and return how many became tombstones.

    before      every event of the line's own timeline with a position below this
    stream      every event of a stream, on all timelines of the system, and the stream's name
    keep_state  with `before`: what the events had made of each entity stays; see `keep`

    Works in slices, each a transaction of its own: what is stopped half-way is done half-way and
    may be called again. On SQLite the erased bytes are overwritten; PostgreSQL's go with the next
    vacuum.

    raises  EventLogError when not exactly one of the two is given, or nothing can be meant
    """
    if (before is None) == (stream is None):
        raise EventLogError("Say what to forget: either `before` a position or one `stream`.")
    if store.sqlite() and not connection.in_atomic_block:
        store.execute("PRAGMA secure_delete = ON")
    if before is not None:
        own = Segment(line.timeline, line.base, min(before - 1, line.head))
        if keep_state:
            signals.keeping.send(sender=None, line=line, before=before)
        count = _erase(
            "e.place > %s AND e.place <= %s", [own.low, own.high], line.timeline,
            before=before, kept=keep_state,
        )  # fmt: skip
    else:
        count = _forget_stream(line, stream or "")
    if store.sqlite() and not connection.in_atomic_block:
        store.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
    return count


def _forget_stream(line: Line, name: str) -> int:
    ids = store.names_to_ids("stream", line.system, [name])
    if not ids:
        raise EventLogError(f"System {line.slug!r} has no stream {name!r}.")
    stream = ids[name]
    timelines = store.fetch("SELECT id FROM eventlog_timeline WHERE system_id = %s", [line.system])
    count = 0
    for (timeline,) in timelines:
        low, high = place(timeline, 0), place(timeline + 1, 0)
        where = "e.stream_id = %s AND e.place > %s AND e.place < %s"
        count += _erase(where, [stream, low, high], timeline, stream=stream)
    with transaction.atomic():
        for (timeline,) in timelines:
            append.lock(timeline)
            # Writers, also those of other processes, may remember the stream's id.
            store.execute(
                "UPDATE eventlog_timeline SET epoch = epoch + 1 WHERE id = %s", [timeline]
            )
        store.execute(
            "UPDATE eventlog_event SET stream_id = NULL, revision = NULL WHERE stream_id = %s",
            [stream],
        )
        store.execute("DELETE FROM eventlog_stream WHERE id = %s", [stream])
    return count


def _erase(where: str, parameters: Sequence[object], timeline: int, **what: object) -> int:
    count = 0
    while True:
        with transaction.atomic():
            append.lock(timeline)
            rows = store.fetch(
                f"SELECT e.place, e.event_id FROM eventlog_event e WHERE {where}"
                f" AND e.data IS NOT NULL ORDER BY e.place LIMIT {SLICE}",
                parameters,
            )
            store.execute_many(
                "UPDATE eventlog_event SET data = NULL, metadata = %s, key = '', checksum = %s"
                " WHERE place = %s",
                [(b"", _checksum(bytes(packed)), key) for key, packed in rows],
            )
            store.execute(
                "UPDATE eventlog_timeline SET forgotten = forgotten + %s WHERE id = %s",
                [len(rows), timeline],
            )
            if rows or not count:  # once at least: a state may be left of what was erased before
                signals.forgotten.send(sender=None, timelines=_relatives(timeline), **what)
        count += len(rows)
        if len(rows) < SLICE:
            return count


def _relatives(timeline: int) -> list[int]:
    """Return all timelines of the system: forks read their parent's rows."""
    rows = store.fetch(
        "SELECT t.id FROM eventlog_timeline t JOIN eventlog_timeline o"
        " ON o.system_id = t.system_id WHERE o.id = %s",
        [timeline],
    )
    return [each for (each,) in rows]


def _checksum(packed: bytes) -> int:
    checksum = crc32(packed)
    return checksum - (checksum >> 31 << 32)
