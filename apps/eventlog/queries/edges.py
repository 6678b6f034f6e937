"""Many moments at once as positions: hours, then minutes from the rollups, then bisection.

`queries.log.position_at` does one; a histogram has hundreds of edges, so they go side by side.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line, Segment, place, position
from apps.eventlog.queries.rollups import HOUR, MINUTE, SECOND, log_times, starts


class Gap(NamedTuple):
    """What is known of an edge: events up to `low` are before it, those from `high` on are not."""

    time: int
    low: int
    high: int


def positions_before(line: Line, times: Sequence[int]) -> list[int]:
    """Return, for each time in µs, how many events of the line have an earlier log_time.

    That is also the position of the last of them, and 0 before the first.
    """
    found: dict[int, int] = {}
    rest = sorted(set(times))
    for part in reversed(line.segments):
        (first,) = log_times(part, [part.after + 1])
        inside = [at for at in rest if at > first]
        rest = rest[: len(rest) - len(inside)]
        found.update(zip(inside, _in_segment(part, inside), strict=True))
    return [found.get(at, 0) for at in times]


def _in_segment(part: Segment, times: list[int]) -> list[int]:
    if not times:
        return []
    gaps = [Gap(at, part.after, part.upto + 1) for at in times]
    for span in (HOUR, MINUTE):
        gaps = _narrowed(part, span, gaps)
    return _bisected(part, gaps)


def _narrowed(part: Segment, span: int, gaps: list[Gap]) -> list[Gap]:
    """Narrow each gap to the events of one bucket of `span`."""
    width = span * SECOND
    open_gaps = [gap for gap in gaps if gap.high - gap.low > 1]
    if not open_gaps:
        return gaps
    buckets, firsts = starts(part.timeline, span, [(g.time // width,) * 2 for g in open_gaps])

    def narrow(gap: Gap) -> Gap:
        bucket = gap.time // width
        index = bisect_left(buckets, bucket)
        if index == len(buckets):  # nothing from this bucket on
            return Gap(gap.time, gap.high - 1, gap.high)
        low = min(max(gap.low, firsts[index] - 1), gap.high - 1)
        if buckets[index] > bucket or gap.time % width == 0:
            return Gap(gap.time, low, low + 1)
        following = firsts[index + 1] if index + 1 < len(firsts) else gap.high
        return Gap(gap.time, low, min(gap.high, following))

    return [narrow(gap) if gap.high - gap.low > 1 else gap for gap in gaps]


def _bisected(part: Segment, gaps: list[Gap]) -> list[int]:
    """Halve all gaps together, one statement a round, until each is an edge."""
    while middles := {(g.low + g.high) // 2 for g in gaps if g.high - g.low > 1}:
        at: dict[int, int] = {}
        for clause, values in store.among([place(part.timeline, p) for p in middles]):
            sql = f"SELECT place, log_time FROM eventlog_event WHERE place {clause}"
            at.update((position(key), time) for key, time in store.fetch(sql, values))
        gaps = [_halved(gap, at) for gap in gaps]
    return [gap.low for gap in gaps]


def _halved(gap: Gap, at: dict[int, int]) -> Gap:
    if gap.high - gap.low <= 1:
        return gap
    middle = (gap.low + gap.high) // 2
    if at[middle] < gap.time:
        return gap._replace(low=middle)
    return gap._replace(high=middle)
