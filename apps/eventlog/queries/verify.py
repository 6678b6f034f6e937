"""Checking the log's own invariants, row by row: what a database does not promise by itself.

One flipped bit in a checkpointed SQLite file goes unnoticed four times out of five; checksums and
gapless positions notice it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from zlib import crc32

from apps.eventlog import seen, store
from apps.eventlog.places import Line, place, position
from apps.eventlog.queries.lanes import lanes

PAGE = 5000


class Damage(NamedTuple):
    """One thing that is not as it must be. `position` is 0 where it is not about one event."""

    code: str
    position: int
    text: str


def verify(line: Line, *, progress: Callable[[int], None] = lambda done: None) -> Iterator[Damage]:
    """Yield what is wrong with the rows of a line's own timeline, in order of position.

    Checks: positions without gaps up to the head and nothing beyond, log_time never falling,
    checksums, known lanes and streams, revisions without gaps, rollups that add up, and the sets
    of seen ids. `progress` is told the position reached, once a page. Memory is bounded.
    """
    yield from _rows(line, progress)
    yield from _edges(line)
    yield from _revisions(line)
    yield from _rollups(line)


def _rows(line: Line, progress: Callable[[int], None]) -> Iterator[Damage]:
    known = lanes(line.system)
    at, log_time = line.base, None
    run = _Run(line)
    while True:
        rows = store.fetch(
            "SELECT e.place, e.log_time, e.lane_id, e.stream_id, s.id, e.checksum, e.event_id,"
            " e.metadata, e.data FROM eventlog_event e"
            " LEFT JOIN eventlog_stream s ON s.id = e.stream_id"
            " WHERE e.place > %s AND e.place <= %s ORDER BY e.place LIMIT %s",
            [place(line.timeline, at), place(line.timeline, line.head), PAGE],
        )
        for row in rows:
            here = position(row[0])
            if here != at + 1:
                yield Damage("gap", at + 1, f"Positions #{at + 1} to #{here - 1} are missing.")
            if log_time is not None and row[1] < log_time:
                yield Damage("log_time", here, f"The log's time falls at #{here}.")
            yield from _row(here, row, known)
            at, log_time = here, row[1]
            source = known[row[2]].source if row[2] in known else ""
            yield from run.add(here, bytes(row[6]), source)
        progress(at)
        if len(rows) < PAGE:
            break
    if at != line.head:
        yield Damage("head", line.head, f"The head is #{line.head}, but the last event is #{at}.")


def _row(here: int, row: Sequence[Any], known: dict[int, Any]) -> Iterator[Damage]:
    _, _, lane, stream, stream_row, checksum, packed, metadata, data = row
    found = crc32(bytes(data or b""), crc32(bytes(metadata), crc32(bytes(packed))))
    if found - (found >> 31 << 32) != checksum:
        yield Damage("checksum", here, f"The content of #{here} is not what was stored.")
    if lane not in known:
        yield Damage("lane", here, f"#{here} points to lane {lane}, which does not exist.")
    if stream is not None and stream_row is None:
        yield Damage("stream", here, f"#{here} points to stream {stream}, which does not exist.")


class _Run:
    """The set of seen ids, made anew while reading, held against the stored one."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.digests: list[int] = []
        self.identities: list[int] = []
        self.offsets: list[int] = []

    def add(self, here: int, packed: bytes, source: str) -> Iterator[Damage]:
        self.digests.append(seen.id_digest(packed))
        self.identities.append(seen.identity_digest(packed, seen.source_seed(source)))
        self.offsets.append((here - 1) % seen.RUN)
        if here % seen.RUN == 0:
            yield from self._compare(seen.run_of(here))
            self.digests, self.identities, self.offsets = [], [], []

    def _compare(self, run: int) -> Iterator[Damage]:
        key = (self.line.timeline << 24 | run) << 8
        rows = store.fetch(
            "SELECT chunk, entries FROM eventlog_seenchunk WHERE chunk >= %s AND chunk < %s",
            [key, key + 256],
        )
        stored = {chunk & 0xFF: bytes(entries) for chunk, entries in rows}
        if stored != dict(seen.chunks(self.digests, self.identities, self.offsets)):
            first = run * seen.RUN + 1
            yield Damage(
                "seen",
                first,
                f"The set of ids seen from #{first} to #{first + seen.RUN - 1} is off.",
            )


def _edges(line: Line) -> Iterator[Damage]:
    # One statement sees one moment, so a log that grows meanwhile is not called damaged.
    rows = store.fetch(
        "SELECT t.head, count(*) FROM eventlog_timeline t JOIN eventlog_event e"
        " ON e.place > (t.id << 40) + t.head AND e.place < (t.id + 1) << 40"
        " WHERE t.id = %s GROUP BY t.head",
        [line.timeline],
    )
    for head, count in rows:
        yield Damage("beyond", head, f"{count} events lie beyond the head #{head}.")


def _revisions(line: Line) -> Iterator[Damage]:
    rows = store.fetch(
        "SELECT s.name, count(*), min(e.revision), max(e.revision) FROM eventlog_event e"
        " JOIN eventlog_stream s ON s.id = e.stream_id WHERE e.place > %s AND e.place <= %s"
        " GROUP BY s.name HAVING count(*) <> max(e.revision) - min(e.revision) + 1"
        " ORDER BY s.name LIMIT 100",
        [place(line.timeline, line.base), place(line.timeline, line.head)],
    )
    for name, count, low, high in rows:
        yield Damage("revision", 0, f"Stream {name!r} has {count} events from {low} to {high}.")


def _rollups(line: Line) -> Iterator[Damage]:
    low, high = place(line.timeline, 0), place(line.timeline + 1, 0)
    for span in (60, 3600):
        rows = store.fetch(
            "WITH e AS (SELECT lane_id AS lane, count(*) AS n FROM eventlog_event"
            " WHERE place > %s AND place < %s GROUP BY lane_id),"
            " r AS (SELECT lane, sum(count) AS n FROM eventlog_rollup"
            " WHERE timeline = %s AND span = %s GROUP BY lane),"
            " both_ AS (SELECT lane, n AS events, 0 AS sums FROM e"
            " UNION ALL SELECT 0, sum(n), 0 FROM e"
            " UNION ALL SELECT lane, 0, n FROM r)"
            " SELECT lane, sum(events), sum(sums) FROM both_ GROUP BY lane"
            " HAVING coalesce(sum(events), 0) <> sum(sums) ORDER BY lane",
            [low, high, line.timeline, span],
        )
        for lane, events, sums in rows:
            yield Damage(
                "rollup",
                0,
                f"Lane {lane} has {events or 0} events, but its rollup of {span} s says {sums}.",
            )
