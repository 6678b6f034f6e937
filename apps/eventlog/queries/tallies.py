"""How many streams have events between two positions, begin there, or may have ended there."""

from __future__ import annotations

from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line, Segment
from apps.eventlog.queries.facts import last_places

NEAR = 10_000  # positions so near each other that the events between are looked at
READ = 6  # events that are read as fast as one is looked up
FEW = 100_000  # events that may end a stream, in the whole log: more are not read off their index


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


def few(line: Line, most: int) -> bool:
    """Return whether the system has at most so many streams."""
    ((count,),) = store.fetch(
        "SELECT count(*) FROM (SELECT 1 FROM eventlog_stream WHERE system_id = %s LIMIT %s) s",
        [line.system, most + 1],
    )
    return bool(count <= most)


def endings(line: Line, *, after: int, upto: int, streams: int) -> list[int]:
    """Return the streams whose last event between two positions may have ended them.

    They are those whose data is short as null is, or speaks of an operation: few of all, and in
    an index of their own. What became of them only a fold can say.

    streams  how many have events there, about: it decides how to look where they are not few
    """
    found: list[int] = []
    for part in line.within(after, upto):
        width = part.upto - part.after
        if width > NEAR and _few_ending():
            rows = _read_ending(part, _forced())
        elif width <= max(NEAR, READ * streams):
            rows = _read_ending(part, "")
        else:
            rows = store.fetch(
                f"SELECT s.id FROM eventlog_stream s WHERE s.system_id = %s AND (SELECT {_ending()}"
                " FROM eventlog_event e WHERE e.stream_id = s.id AND e.place > %s AND e.place <= %s"
                " ORDER BY e.place DESC LIMIT 1)",
                [line.system, part.low, part.high],
            )
        found += [stream for (stream,) in rows]
    return found


def _read_ending(part: Segment, index: str) -> list[tuple[int]]:
    """Return streams with an event that may end them and none after it."""
    stream = "e.stream_id" if index or not store.sqlite() else "+e.stream_id"
    rows: list[tuple[int]] = store.fetch(
        "SELECT w.id FROM (SELECT e.stream_id AS id, max(e.place) AS last"
        f" FROM eventlog_event e{index} WHERE {stream} IS NOT NULL AND {_ending()}"
        " AND e.place > %s AND e.place <= %s GROUP BY e.stream_id) w"
        " WHERE NOT EXISTS (SELECT 1 FROM eventlog_event n WHERE n.stream_id = w.id"
        " AND n.place > w.last AND n.place <= %s)",
        [part.low, part.high, part.high],
    )
    return rows


def _few_ending() -> bool:
    """Return whether the index of the events that may end a stream is quickly read."""
    ((count,),) = store.fetch(
        f"SELECT count(*) FROM (SELECT 1 FROM eventlog_event e{_forced()}"
        f" WHERE e.stream_id IS NOT NULL AND {_ending()} LIMIT %s) w",
        [FEW],
    )
    return bool(count < FEW)


def _forced() -> str:
    return " INDEXED BY eventlog_event_ending" if store.sqlite() else ""


def _ending() -> str:
    """Return SQL for data that may end a stream, as the index has it."""
    if store.sqlite():
        return "(length(e.data) <= 4 OR instr(e.data, x'226F7022') > 0)"
    return "(length(e.data) <= 4 OR position('\\x226f7022'::bytea in e.data) > 0)"
