"""A writer's memory of its timelines: filled from the log, forgotten after a rollback.

The timeline's lock guards it: who holds the lock is the only one to read or change it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from django.db import connection, transaction

from apps.eventlog import seen, store
from apps.eventlog.memory import Memory
from apps.eventlog.places import Segment, place, position

if TYPE_CHECKING:
    from apps.eventlog.commands.append import Row

KEPT = 8  # timelines remembered in one process
PAGE = 20_000  # rows read at once when catching up

_memories: dict[tuple[str, int], Memory] = {}
_pending: dict[int, object] = {}  # id(memory) -> token of the transaction that changed it last
_guard = threading.Lock()


def segments(row: Row) -> tuple[Segment, ...]:
    """Return the segments a locked timeline is made of, oldest first."""
    from apps.eventlog.queries.log import line_of

    own = (Segment(row.timeline, row.base, row.head),) if row.head > row.base else ()
    if row.parent is None or not row.base:
        return own
    return (*line_of(row.parent).within(0, row.base), *own)


def memory_of(row: Row) -> Memory:
    """Return the memory of a locked timeline, in step with the database."""
    key = (connection.alias, row.timeline)
    with _guard:
        memory = _memories.get(key)
        if memory is None or not _trusted(memory, row):
            memory = Memory(row.born, row.base)
            _memories.pop(key, None)
            while len(_memories) >= KEPT:
                _pending.pop(id(_memories.pop(next(iter(_memories)))), None)
            _memories[key] = memory
            _pending.pop(id(memory), None)
    if memory.tail.head < row.head:
        _catch_up(row, memory)
    return memory


def _trusted(memory: Memory, row: Row) -> bool:
    if memory.born != row.born or memory.tail.head > row.head:
        return False
    token = _pending.get(id(memory))
    # Changed in a transaction whose commit was not seen: good only while still inside it.
    return token is None or any(entry[1] is token for entry in connection.run_on_commit)


def in_use(memory: Memory) -> None:
    """Trust what was just written into `memory` only if this transaction commits."""

    def committed() -> None:
        if _pending.get(id(memory)) is committed:
            _pending.pop(id(memory), None)

    _pending[id(memory)] = committed
    transaction.on_commit(committed)


def forget_all() -> None:
    """Forget everything, as a new process would have."""
    with _guard:
        _memories.clear()
        _pending.clear()


def filters_of(timeline: int, row: Row, memory: Memory) -> seen.Filters:
    """Return the id filters of a timeline: the locked one's, or those of a parent."""
    if timeline == row.timeline:
        return memory.by_id
    filters = memory.parents.setdefault(timeline, seen.Filters())
    if not filters.runs:  # a fork never reads past its base, so what was full then is enough
        sql = "SELECT run, by_id FROM eventlog_seenrun WHERE run >= %s AND run < %s ORDER BY run"
        for key, by_id in store.fetch(sql, [timeline << 24, (timeline + 1) << 24]):
            filters.add(key & 0xFFFFFF, seen.unpacked_bits(bytes(by_id)))
    return filters


def _catch_up(row: Row, memory: Memory) -> None:
    """Read what this process did not write itself: sealed runs' filters, then the tail."""
    _load_runs(row, memory)
    memory.waiting = None
    while memory.tail.head < row.head:
        rows = store.fetch(
            "SELECT place, lane_id, event_id, stream_id, revision, correlation_id"
            " FROM eventlog_event WHERE place > %s AND place <= %s ORDER BY place LIMIT %s",
            [place(row.timeline, memory.tail.head), place(row.timeline, row.head), PAGE],
        )
        know_lanes(row.system, memory, {lane for _, lane, *_ in rows})
        assert position(rows[0][0]) == memory.tail.head + 1, f"gap before {position(rows[0][0])}"
        packed = [bytes(row[2]) for row in rows]
        seeds = [memory.seed(memory.strings[row[1]][2]) for row in rows]
        memory.tail.extend(
            [seen.id_digest(p) for p in packed],
            [seen.identity_digest(p, seed) for p, seed in zip(packed, seeds, strict=True)],
            [row[5] for row in rows],
        )
        memory.revisions.update((row[3], row[4]) for row in rows if row[3] is not None)


def _load_runs(row: Row, memory: Memory) -> None:
    low = row.timeline << 24
    known = set(memory.by_id.runs)
    last = max(known, default=-1)
    rows = store.fetch(
        "SELECT run, by_id, by_identity FROM eventlog_seenrun"
        " WHERE run > %s AND run < %s ORDER BY run",
        [low + last, (row.timeline + 1) << 24],
    )
    for key, by_id, by_identity in rows:
        run = key & 0xFFFFFF
        memory.by_id.add(run, seen.unpacked_bits(bytes(by_id)))
        memory.by_identity.add(run, seen.unpacked_bits(bytes(by_identity)))
        end = (run + 1) * seen.RUN
        memory.tail = memory.tail.after(min(end, memory.tail.head))
        if memory.tail.start < end:
            memory.tail = type(memory.tail)(end)
            # Streams may have grown in rows this process never reads.
            memory.revisions.clear()
            memory.streams.clear()


def know_lanes(system: int, memory: Memory, lanes: set[int]) -> None:
    """Remember lanes by id."""
    from apps.eventlog.commands.names import know
    from apps.eventlog.queries.lanes import lanes_of

    if missing := lanes - memory.strings.keys():
        for lane, strings in lanes_of(system, missing).items():
            know(memory, lane, tuple(strings))  # type: ignore[arg-type]


def seal(row: Row, memory: Memory) -> None:
    """Write every run that is full now, and let the tail begin after it."""
    tail = memory.tail
    while tail.head >= (end := (seen.run_of(tail.start + 1) + 1) * seen.RUN):
        run = seen.run_of(end)
        count = end - tail.start
        digests = np.array(tail.digests[:count], dtype=np.uint64)
        identities = np.array(tail.identities[:count], dtype=np.uint64)
        first = tail.start - run * seen.RUN
        key = row.timeline << 24 | run
        by_id, by_identity = seen.filter_bits(digests), seen.filter_bits(identities)
        store.execute(
            "INSERT INTO eventlog_seenrun (run, by_id, by_identity) VALUES (%s, %s, %s)",
            [key, seen.packed_bits(by_id), seen.packed_bits(by_identity)],
        )
        store.execute_many(
            "INSERT INTO eventlog_seenchunk (chunk, entries) VALUES (%s, %s)",
            [
                (key << 8 | top, entries)
                for top, entries in seen.chunks(digests, identities, range(first, first + count))
            ],
        )
        memory.by_id.add(run, by_id)
        memory.by_identity.add(run, by_identity)
        tail = memory.tail = tail.after(end)
