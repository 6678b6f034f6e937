"""Leaving out stretches of the log that hold none of some lanes, by asking the rollups."""

from __future__ import annotations

from collections.abc import Iterable

from apps.eventlog import store
from apps.eventlog.places import Segment
from apps.eventlog.queries.marks import HOUR, MINUTE, SECOND, Marks, log_times


def skip(part: Segment, lanes: Iterable[int], *, descending: bool) -> Segment | None:
    """Return the part of a segment that is left once a walk leaves out minutes without `lanes`.

    A walk from the end (`descending`) goes on at the part's end, another at its beginning. None:
    the segment holds none of them.
    """
    wanted = sorted(lanes)
    edge = part.upto if descending else part.after + 1
    (at,) = log_times(part, [edge])
    minute = _nearest_minute(part.timeline, wanted, at // (MINUTE * SECOND), descending=descending)
    if minute is None:
        return None
    _, firsts = Marks(part.timeline).starts(MINUTE, [(minute, minute)])
    if descending:
        last = firsts[1] - 1 if len(firsts) > 1 else part.upto
        part = part._replace(upto=min(part.upto, last))
    else:
        part = part._replace(after=max(part.after, firsts[0] - 1))
    return part if part.after < part.upto else None


def _nearest_minute(
    timeline: int, lanes: list[int], minute: int, *, descending: bool
) -> int | None:
    """Return the first minute from `minute` on, in the walk's direction, that holds a lane."""
    in_hour = HOUR // MINUTE
    hour = minute // in_hour
    end = hour * in_hour if descending else hour * in_hour + in_hour - 1
    near = _nearest(timeline, MINUTE, lanes, minute, end, descending=descending)
    if near is not None:
        return near
    step = -1 if descending else 1
    hour_found = _nearest(timeline, HOUR, lanes, hour + step, None, descending=descending)
    if hour_found is None:
        return None
    low, high = hour_found * in_hour, hour_found * in_hour + in_hour - 1
    start, end = (high, low) if descending else (low, high)
    return _nearest(timeline, MINUTE, lanes, start, end, descending=descending)


def _nearest(
    timeline: int, span: int, lanes: list[int], start: int, end: int | None, *, descending: bool
) -> int | None:
    """Return the nearest bucket from `start` to `end` that holds a lane: one seek a lane."""
    pick, beyond, within = ("max", "<=", ">=") if descending else ("min", ">=", "<=")
    limit = "" if end is None else f" AND r.bucket {within} %s"
    inner = (
        f"SELECT {pick}(r.bucket) FROM eventlog_rollup r WHERE r.timeline = %s AND r.span = %s"
        f" AND r.lane = l.id AND r.bucket {beyond} %s{limit}"
    )
    ends = [] if end is None else [end]
    found = []
    for clause, values in store.among(lanes):
        each = f"SELECT ({inner}) AS b FROM eventlog_lane l WHERE l.id {clause}"
        sql = f"SELECT {pick}(b) FROM ({each}) x"
        found += store.fetch(sql, [timeline, span, start, *ends, *values])
    nearest = [bucket for (bucket,) in found if bucket is not None]
    return (max if descending else min)(nearest) if nearest else None
