"""What counters look at: each event as a lane and a time, and sums by lane over short spans."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line, position
from apps.eventlog.queries.lanes import lanes
from apps.eventlog.queries.steps import Steps

SUMMED = 400_000  # positions one call of `sums` reads at most
SPANS = 10_000  # whose sums are remembered, of each timeline

Sums = dict[int, dict[int, int]]  # log_time // span -> lane -> events

_sums = Steps[dict[int, int]](SPANS, dict)


class Tick(NamedTuple):
    """One event as a counter sees it. `data` is there for deliveries and progress alone."""

    position: int
    lane: int
    log_time: int
    cause: int | None
    data: bytes | None


def ticks(line: Line, *, after: int, upto: int) -> list[Tick]:
    """Return the events with after < position <= upto, in order. The caller bounds the span."""
    telling = [n for n, lane in lanes(line.system).items() if lane.kind in ("delivery", "progress")]
    data = f"CASE WHEN lane_id IN ({','.join(map(str, telling))}) THEN data END"
    found: list[Tick] = []
    for part in line.within(after, upto):
        rows = store.fetch(
            f"SELECT place, lane_id, log_time, cause, {data if telling else 'NULL'}"
            " FROM eventlog_event WHERE place > %s AND place <= %s ORDER BY place",
            [part.low, part.high],
        )
        found += [
            Tick(position(key), lane, at, cause, None if raw is None else bytes(raw))
            for key, lane, at, cause, raw in rows
        ]
    return found


def lanes_at(line: Line, positions: Iterable[int]) -> dict[int, int]:
    """Return the lane of the event at each position there is."""
    found: dict[int, int] = {}
    for clause, values in store.among(line.places(sorted(set(positions)))):
        sql = f"SELECT place, lane_id FROM eventlog_event WHERE place {clause}"
        found |= {position(key): lane for key, lane in store.fetch(sql, values)}
    return found


def weight(line: Line, *, after: int) -> int:
    """Return the bytes of data and metadata after a position. The caller bounds the span."""
    total = 0
    for part in line.within(after, line.head):
        rows = store.fetch(
            "SELECT coalesce(sum(coalesce(length(data), 0) + length(metadata)), 0)"
            " FROM eventlog_event WHERE place > %s AND place <= %s",
            [part.low, part.high],
        )
        total += int(rows[0][0])
    return total


def sums(line: Line, *, after: int, upto: int, span: int) -> Sums:
    """Return how many events of each lane there are in each span: {log_time // span: {lane: n}}.

    span  µs
    cost  every event is read; of more than SUMMED positions only the last are
    """
    found: Sums = {}
    for part in line.within(max(after, upto - SUMMED), upto):
        rows = store.fetch(
            "SELECT log_time / %s, lane_id, count(*) FROM eventlog_event"
            " WHERE place > %s AND place <= %s GROUP BY 1, 2",
            [span, part.low, part.high],
        )
        for bucket, lane, count in rows:
            of = found.setdefault(bucket, {})
            of[lane] = of.get(lane, 0) + count
    return found


def spans(line: Line, first: int, last: int, *, span: int) -> Sums:
    """Return the sums of the spans first <= log_time // span <= last; those without events too.

    What is before the newest log_time does not change, so each span is read once by a process. Of
    more than SUMMED new positions only the last are counted.
    """

    def read(after: int, upto: int) -> Sums:
        return sums(line, after=after, upto=upto, span=span)

    return _sums.over(line, first, last, span=span, read=read)


def hours(line: Line, wanted: Iterable[int]) -> Sums:
    """Return the sums of whole hours since 1970 from the rollups, without reading an event."""
    found: Sums = {}
    for part in line.segments:
        for clause, values in store.among(sorted(set(wanted))):
            rows = store.fetch(
                "SELECT bucket, lane, count FROM eventlog_rollup WHERE timeline = %s"
                f" AND span = 3600 AND lane <> 0 AND bucket {clause}",
                [part.timeline, *values],
            )
            for bucket, lane, count in rows:
                of = found.setdefault(bucket, {})
                of[lane] = of.get(lane, 0) + count
    return found
