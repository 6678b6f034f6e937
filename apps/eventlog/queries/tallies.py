"""How many streams have events between two positions, begin there, or may have ended there."""

from __future__ import annotations

import json
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line, Segment
from apps.eventlog.queries.facts import last_places

NEAR = 10_000  # positions so near each other that the events between are looked at
READ = 6  # events that are read as fast as one is looked up


def touched(line: Line, *, after: int, upto: int) -> dict[int, int]:
    """Return how many events each stream has with after < position <= upto. Reads them all."""
    counts: dict[int, int] = {}
    for part in line.within(after, upto):
        rows = store.fetch(
            "SELECT e.stream_id, count(*) FROM eventlog_event e"
            " WHERE e.place > %s AND e.place <= %s AND +e.stream_id IS NOT NULL"
            " GROUP BY e.stream_id",
            [part.low, part.high],
        )
        for stream, count in rows:
            counts[stream] = counts.get(stream, 0) + count
    return counts


class Touched(NamedTuple):
    """How many streams have events between two positions, and how many of those begin there."""

    streams: int
    begun: int


def counted(line: Line, *, after: int, upto: int) -> Touched:
    """Return how many streams have events with after < position <= upto.

    By the index of streams: two or three seeks a stream, however many events lie between; by the
    events themselves where they are few.
    """
    if len(line.segments) > 1 or upto - after <= NEAR:  # a fork's streams begin on its parent
        streams = touched(line, after=after, upto=upto)
        existed = last_places(line, list(streams), upto=after)
        return Touched(len(streams), len(streams) - len(existed))
    segment = line.segments[0] if line.segments else Segment(line.timeline, 0, 0)
    low, first, last = (segment.low - segment.after + p for p in (segment.after, after, upto))
    within = (
        "EXISTS (SELECT 1 FROM eventlog_event e WHERE e.stream_id = s.id"
        " AND e.place > %s AND e.place <= %s)"
    )
    ((streams, begun),) = store.fetch(
        f"SELECT count(*), coalesce(sum(CASE WHEN {within} THEN 0 ELSE 1 END), 0)"
        f" FROM eventlog_stream s WHERE s.system_id = %s AND {within}",
        [low, first, line.system, first, last],
    )
    return Touched(int(streams), int(begun))


class Spanned(NamedTuple):
    """What `counted` says, and the streams whose last event there may have ended them."""

    streams: int
    begun: int
    endings: list[int]


def spanned(line: Line, *, after: int, upto: int) -> Spanned:
    """Return what `counted` and `endings` do, of each stream at once where the range is wide."""
    if len(line.segments) != 1 or upto - after <= NEAR:
        counts = counted(line, after=after, upto=upto)
        return Spanned(*counts, endings(line, after=after, upto=upto, streams=counts.streams))
    (segment,) = line.segments
    low, first, last = (segment.low - segment.after + p for p in (segment.after, after, upto))
    ids = "json_group_array" if store.sqlite() else "json_agg"
    rows = store.fetch(
        f"SELECT ending, was, count(*), {ids}(id) FILTER (WHERE ending = 1) FROM ("
        f"SELECT s.id AS id, (SELECT CASE WHEN {_short()} THEN 1 ELSE 0 END"
        " FROM eventlog_event e WHERE e.stream_id = s.id AND e.place > %s AND e.place <= %s"
        " ORDER BY e.place DESC LIMIT 1) AS ending,"
        " EXISTS (SELECT 1 FROM eventlog_event e WHERE e.stream_id = s.id"
        " AND e.place > %s AND e.place <= %s) AS was"
        " FROM eventlog_stream s WHERE s.system_id = %s) w"
        " WHERE ending IS NOT NULL GROUP BY ending, was",
        [b'"op"', first, last, low, first, line.system],
    )
    found: list[int] = []
    for *_, numbers in rows:
        found += json.loads(numbers) if isinstance(numbers, str) else numbers or []
    begun = sum(count for _, was, count, _ in rows if not was)
    return Spanned(sum(row[2] for row in rows), begun, found)


def _short() -> str:
    """Return SQL for data that may end a stream; its parameter is `"op"` in bytes."""
    within = "instr(e.data, CAST(%s AS BLOB))" if store.sqlite() else "position(%s in e.data)"
    return f"(length(e.data) <= 4 OR {within} > 0)"


def few(line: Line, most: int) -> bool:
    """Return whether the system has at most so many streams."""
    ((count,),) = store.fetch(
        "SELECT count(*) FROM (SELECT 1 FROM eventlog_stream WHERE system_id = %s LIMIT %s) s",
        [line.system, most + 1],
    )
    return bool(count <= most)


def endings(line: Line, *, after: int, upto: int, streams: int) -> list[int]:
    """Return the streams whose last event between two positions may have ended them.

    They are those whose data is short as null is, or speaks of an operation: few of all. What
    became of them only a fold can say.

    streams  how many have events there, about: it decides whether to read them all or the last
             of each
    """
    found: list[int] = []
    short = _short()
    for part in line.within(after, upto):
        ends = [part.low, part.high]
        if part.upto - part.after <= max(NEAR, READ * streams):
            sql = (
                "SELECT w.id FROM (SELECT e.stream_id AS id, max(e.place) AS last"
                " FROM eventlog_event e WHERE e.place > %s AND e.place <= %s"
                f" AND +e.stream_id IS NOT NULL AND {short} GROUP BY e.stream_id) w"
                " WHERE NOT EXISTS (SELECT 1 FROM eventlog_event n WHERE n.stream_id = w.id"
                " AND n.place > w.last AND n.place <= %s)"
            )
            rows = store.fetch(sql, [*ends, b'"op"', part.high])
        else:
            rows = store.fetch(
                f"SELECT s.id FROM eventlog_stream s WHERE s.system_id = %s AND (SELECT {short}"
                " FROM eventlog_event e WHERE e.stream_id = s.id AND e.place > %s AND e.place <= %s"
                " ORDER BY e.place DESC LIMIT 1)",
                [line.system, b'"op"', *ends],
            )
        found += [stream for (stream,) in rows]
    return found
