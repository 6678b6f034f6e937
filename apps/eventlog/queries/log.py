"""Reading the log: which timelines there are, events in order, time to position and back.

Every read is bounded and keyset-paged by position, and reads a fork through its parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from apps.eventlog import seen, store
from apps.eventlog.envelope import Recorded, microseconds
from apps.eventlog.errors import QueryError, UnknownSystem, UnknownTimeline
from apps.eventlog.places import Line, Segment, place, position
from apps.eventlog.queries.lanes import lanes_of

LIMIT = 5000  # rows a single read returns at most

_LINES = """
SELECT t.id, t.system_id, y.slug, t.name, t.head, t.log_time, t.base, t.parent_id, t.forgotten,
y.name
FROM eventlog_timeline t JOIN eventlog_system y ON y.id = t.system_id WHERE
"""
EVENTS = """
SELECT e.place, e.time, e.recorded_at, e.log_time, e.cause, c.name, s.name, e.lane_id, e.revision,
e.event_id, e.partition, e."offset", e.key, e.metadata, e.data
FROM eventlog_event e LEFT JOIN eventlog_stream s ON s.id = e.stream_id
LEFT JOIN eventlog_correlation c ON c.id = e.correlation_id WHERE
"""


def line(slug: str, *, timeline: int | None = None) -> Line:
    """Return a system's original timeline, or one of its forks, as it is now.

    raises  UnknownSystem, UnknownTimeline (also for another system's timeline)
    """
    which = "t.parent_id IS NULL" if timeline is None else "t.id = %s"
    rows = store.fetch(
        f"{_LINES} y.slug = %s AND {which}", [slug] if timeline is None else [slug, timeline]
    )
    if not rows and timeline is not None:
        line(slug)
        raise UnknownTimeline(slug, timeline)
    if not rows:
        raise UnknownSystem(slug)
    return _line(rows[0])


def lines() -> list[Line]:
    """Return every system's original timeline, by slug."""
    return [_line(row) for row in store.fetch(f"{_LINES} t.parent_id IS NULL ORDER BY y.slug")]


def line_of(timeline: int) -> Line:
    """Return a timeline by its id; UnknownTimeline where there is none."""
    rows = store.fetch(f"{_LINES} t.id = %s", [timeline])
    if not rows:
        raise UnknownTimeline("", timeline)
    return _line(rows[0])


def heads(timelines: Iterable[int]) -> dict[int, int]:
    """Return the last position of each timeline there is, by its id."""
    found: dict[int, int] = {}
    for clause, values in store.among(sorted(timelines)):
        sql = f"SELECT id, head FROM eventlog_timeline WHERE id {clause}"
        found.update(store.fetch(sql, values))
    return found


def _line(row: Sequence[Any]) -> Line:
    timeline, system, slug, name, head, log_time, base, parent, forgotten, title = row
    segments = (Segment(timeline, base, head),) if head > base else ()
    if parent is not None and base:
        inherited = line_of(parent)
        segments = (*inherited.within(0, base), *segments)
    return Line(
        timeline, system, slug, name or title, head, log_time, base, parent, forgotten, segments
    )


def read(
    line: Line,
    *,
    after: int = 0,
    upto: int | None = None,
    limit: int = 500,
    descending: bool = False,
) -> list[Recorded]:
    """Return the events with after < position <= upto, in order, at most `limit` (capped at 5000).

    `descending` returns the last ones first. `upto` None is the line's head.
    """
    limit = min(limit, LIMIT)
    upto = line.head if upto is None else min(upto, line.head)
    found: list[Recorded] = []
    parts = line.within(after, upto)
    for part in reversed(parts) if descending else parts:
        found += load(
            line,
            "e.place > %s AND e.place <= %s ORDER BY e.place"
            f"{' DESC' if descending else ''} LIMIT %s",
            [part.low, part.high, limit - len(found)],
        )
        if len(found) >= limit:
            break
    return found


def event(line: Line, position: int) -> Recorded | None:
    """Return the event at a position, None where the line has none."""
    return next(iter(events_at(line, [position])), None)


def events_at(line: Line, positions: Iterable[int]) -> list[Recorded]:
    """Return the events at `positions`, in order of position, without those there are not."""
    found: list[Recorded] = []
    for clause, values in store.among(sorted(set(line.places(positions)))):
        found += load(line, f"e.place {clause}", values)
    return sorted(found, key=lambda e: e.position)


def effects(
    line: Line, position: int, *, upto: int | None = None, limit: int = 500
) -> list[Recorded]:
    """Return the events and deliveries caused by the event at `position`, in order."""
    limit = min(limit, LIMIT)
    found: list[Recorded] = []
    for part in line.within(0, line.head if upto is None else upto):
        found += load(
            line,
            "e.cause = %s AND e.place > %s AND e.place <= %s ORDER BY e.place LIMIT %s",
            [position, part.low, part.high, limit - len(found)],
        )
    return found[:limit]


def by_id(line: Line, event_id: str, *, source: str | None = None) -> list[Recorded]:
    """Return the events with an id (and a source), oldest first; ids are unique per source only."""
    packed = seen.pack_id(event_id)
    places = [key for part in line.segments for key in _holding(part, packed)]
    rows = [e for e in events_at(line, [position(key) for key in places]) if e.id == event_id]
    return [e for e in rows if source is None or e.source == source]


def _holding(part: Segment, packed: bytes) -> Iterator[int]:
    """Yield the places of a segment that may have this id."""
    digest = seen.id_digest(packed)
    top = digest >> 56
    low_run, high_run = seen.run_of(part.after + 1), seen.run_of(part.upto)
    keys = [(part.timeline << 24 | run) << 8 | top for run in range(low_run, high_run + 1)]
    sealed = part.timeline << 24
    last = store.fetch(
        "SELECT max(run) FROM eventlog_seenrun WHERE run >= %s AND run < %s",
        [sealed, (part.timeline + 1) << 24],
    )[0][0]
    for clause, values in store.among(keys):
        sql = f"SELECT chunk, entries FROM eventlog_seenchunk WHERE chunk {clause}"
        for chunk, entries in store.fetch(sql, values):
            start = ((chunk >> 8) & 0xFFFFFF) * seen.RUN + 1
            for offset in seen.find(bytes(entries), digest):
                if part.after < start + offset <= part.upto:
                    yield place(part.timeline, start + offset)
    tail = max(part.after, 0 if last is None else ((last & 0xFFFFFF) + 1) * seen.RUN)
    if tail < part.upto:
        rows = store.fetch(
            "SELECT place FROM eventlog_event WHERE place > %s AND place <= %s AND event_id = %s",
            [place(part.timeline, tail), part.high, packed],
        )
        yield from (key for (key,) in rows)


def position_at(line: Line, us: int) -> int:
    """Return the last position with log_time <= `us`, 0 before the first; a binary search."""
    for part in reversed(line.segments):
        if (first := _log_time(part, part.after + 1)) is None or first > us:
            continue
        low, high = part.after + 1, part.upto
        while low < high:
            middle = (low + high + 1) // 2
            at = _log_time(part, middle)
            if at is not None and at <= us:
                low = middle
            else:
                high = middle - 1
        return low
    return 0


def time_at(line: Line, position: int) -> int | None:
    """Return the log_time at a position, None where the line has no such position."""
    parts = line.within(position - 1, position)
    return _log_time(parts[0], position) if parts else None


def _log_time(part: Segment, at: int) -> int | None:
    rows = store.fetch(
        "SELECT log_time FROM eventlog_event WHERE place = %s", [place(part.timeline, at)]
    )
    return rows[0][0] if rows else None


def moment(line: Line, text: str) -> int:
    """Return the position an `at=` names: "" the head, "1284031", "#1284031", an RFC 3339 time.

    A position beyond the head is the head. raises  QueryError for anything else
    """
    text = text.strip()
    if not text:
        return line.head
    if re.fullmatch(r"#?[0-9]{1,18}", text):
        return min(int(text.removeprefix("#")), line.head)
    try:
        # A "+" of a zone that was not escaped in an address arrives as a blank.
        at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if at.tzinfo is None:
            raise ValueError
    except ValueError:
        raise QueryError(
            f"{text[:80]!r} is neither a position like 1284031 nor a time with a zone like "
            "2026-05-12T14:32:07Z.",
            length=len(text),
        ) from None
    return position_at(line, microseconds(at))


def load(line: Line, where: str, parameters: Sequence[Any]) -> list[Recorded]:
    """Return the events of `EVENTS` + `where`, with all that other tables know of them.

    cost  one query, and up to four more by key for causes' ids, repeats and conflicts
    """
    return recorded(line, store.fetch(EVENTS + where, parameters))


def recorded(line: Line, rows: Sequence[Sequence[Any]]) -> list[Recorded]:
    """Return rows selected with `EVENTS` as events."""
    if not rows:
        return []
    places = [row[0] for row in rows]
    causes = _cause_ids(line, {row[4] for row in rows if row[4] is not None})
    waiting, repeats, conflicts = _rarities(places)
    lanes = lanes_of(line.system, {row[7] for row in rows})
    events = []
    for row in rows:
        lane = lanes[row[7]]
        events.append(
            Recorded(
                position=position(row[0]),
                time=row[1],
                recorded_at=row[2],
                log_time=row[3],
                cause=row[4],
                causation=waiting.get(row[0], "") if row[4] is None else causes.get(row[4], ""),
                correlation=row[5] or "",
                stream=row[6] or "",
                kind=lane.kind,
                type=lane.type,
                source=lane.source,
                channel=lane.channel,
                tap=lane.tap,
                content_type=lane.content_type,
                revision=row[8],
                id=seen.unpack_id(bytes(row[9])),
                partition=row[10],
                offset=row[11],
                key=row[12],
                metadata=bytes(row[13]),
                data=None if row[14] is None else bytes(row[14]),
                seen=repeats.get(row[0], 1),
                conflicts_with=conflicts.get(row[0]),
            )
        )
    return events


def _cause_ids(line: Line, positions: set[int]) -> dict[int, str]:
    found = {}
    for clause, values in store.among(line.places(positions)):
        sql = f"SELECT place, event_id FROM eventlog_event WHERE place {clause}"
        for key, packed in store.fetch(sql, values):
            found[position(key)] = seen.unpack_id(bytes(packed))
    return found


def _rarities(places: Sequence[int]) -> tuple[dict[int, str], dict[int, int], dict[int, int]]:
    """Return what few events have, by place: a cause waited for, repeats, an earlier conflict."""
    waiting: dict[int, str] = {}
    repeats: dict[int, int] = {}
    conflicts: dict[int, int] = {}
    for clause, values in store.among(places):
        rows = store.fetch(
            f"SELECT place, 0, 0, causation FROM eventlog_waiting WHERE place {clause}"
            f" UNION ALL SELECT place, 1, seen, '' FROM eventlog_repeat WHERE place {clause}"
            f" UNION ALL SELECT place, 2, earlier, '' FROM eventlog_conflict WHERE place {clause}",
            [*values, *values, *values],
        )
        for key, kind, number, causation in rows:
            if kind == 0:
                waiting[key] = causation
            else:
                (repeats if kind == 1 else conflicts)[key] = number
    return waiting, repeats, conflicts
