"""What counters look at: each event as a lane and a time, and sums by lane over short spans."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from apps.eventlog import store
from apps.eventlog.places import Line, position
from apps.eventlog.queries import log
from apps.eventlog.queries.lanes import lanes

SUMMED = 400_000  # positions one call of `sums` reads at most
LINES = 64  # timelines and spans whose sums are remembered
SPANS = 10_000  # of each

Sums = dict[int, dict[int, int]]  # log_time // span -> lane -> events

_known: OrderedDict[tuple[int, int, int], Sums] = OrderedDict()


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
    known = _remembered(line, span)
    missing = next((n for n in range(first, last + 1) if n not in known), None)
    if missing is None:
        return {n: known[n] for n in range(first, last + 1)}
    settled = (line.log_time or 0) // span  # this span may still grow
    after = log.position_at(line, missing * span - 1)
    upto = line.head if last >= settled else log.position_at(line, (last + 1) * span - 1)
    fresh = sums(line, after=after, upto=upto, span=span)
    whole = {n: fresh.get(n, {}) for n in range(missing, last + 1)}
    known.update((n, counts) for n, counts in whole.items() if n < settled)
    return {n: whole[n] if n >= missing else known[n] for n in range(first, last + 1)}


def _remembered(line: Line, span: int) -> Sums:
    """Return what is remembered; nothing within a transaction, which may be rolled back."""
    if connection.in_atomic_block:
        return {}
    key = (line.timeline, line.forgotten, span)
    known = _known.setdefault(key, {})
    _known.move_to_end(key)
    if len(_known) > LINES:
        _known.popitem(last=False)
    if len(known) > SPANS:
        known.clear()
    return known


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
