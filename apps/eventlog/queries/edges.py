"""Many moments at once as positions: hours, then minutes from the rollups, then bisection.

`queries.log.position_at` does one; a histogram has hundreds of edges, so they go side by side.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import count
from math import isqrt
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line, Segment, place, position
from apps.eventlog.queries.marks import SECOND, Book, Marks, log_times, spans_for

PROBES = 64  # rows in a statement that cost no more than the statement


class Gap(NamedTuple):
    """What is known of an edge: events up to `low` are before it, those from `high` on are not.

    `from_time` and `to_time` are what the log_times at the ends are near: where to look first.
    """

    time: int
    low: int
    high: int
    from_time: int = 0
    to_time: int = 0

    @property
    def open(self) -> bool:
        """Whether there are events between that may be before or after."""
        return self.high - self.low > 1

    def probes(self, *, ways: int) -> list[int]:
        """Return the positions to look at next, `ways` of them evenly spread, or two likely ones.

        The two lie on either side of where an even flow would have the edge, a deviation of a
        random flow apart.
        """
        width = self.high - self.low
        span = self.to_time - self.from_time
        if width <= max(4, ways):
            return list(range(self.low + 1, self.high))
        if ways != 2 or span <= 0:
            return [self.low + width * n // (ways + 1) for n in range(1, ways + 1)]
        at = self.low + width * (self.time - self.from_time) // span
        off = isqrt(width) // 2 + 1
        return [min(max(p, self.low + 1), self.high - 1) for p in (at - off, at + off)]

    def closer(self, probe: int, time: int) -> Gap:
        """Return the gap as it is once the log_time at one position in it is known."""
        if not self.low < probe < self.high:
            return self
        if time < self.time:
            return self._replace(low=probe, from_time=time)
        return self._replace(high=probe, to_time=time)


def positions_before(line: Line, times: Sequence[int], *, book: Book | None = None) -> list[int]:
    """Return, for each time in µs, how many events of the line have an earlier log_time.

    That is also the position of the last of them, and 0 before the first. `book` is what was
    read of the same line before.
    """
    book = Book() if book is None else book
    found: dict[int, int] = {}
    rest = sorted(set(times))
    for part in reversed(line.segments):
        (first,) = log_times(part, [part.after + 1])
        inside = [at for at in rest if at > first]
        rest = rest[: len(rest) - len(inside)]
        found.update(zip(inside, _in_segment(part, inside, book[part.timeline]), strict=True))
    return [found.get(at, 0) for at in times]


def _in_segment(part: Segment, times: list[int], known: Marks) -> list[int]:
    if not times:
        return []
    gaps = [Gap(at, part.after, part.upto + 1) for at in times]
    for span in spans_for(times[-1] - times[0], len(times)):
        gaps = _narrowed(known, span, gaps)
    return _bisected(part, gaps)


def _narrowed(known: Marks, span: int, gaps: list[Gap]) -> list[Gap]:
    """Narrow each gap to the events of one bucket of `span`."""
    width = span * SECOND
    open_gaps = [gap for gap in gaps if gap.open]
    if not open_gaps:
        return gaps
    buckets, firsts = known.starts(span, [(g.time // width,) * 2 for g in open_gaps])

    def narrow(gap: Gap) -> Gap:
        bucket = gap.time // width
        index = bisect_left(buckets, bucket)
        if index == len(buckets):  # nothing from this bucket on
            return Gap(gap.time, gap.high - 1, gap.high)
        low = min(max(gap.low, firsts[index] - 1), gap.high - 1)
        if buckets[index] > bucket or gap.time % width == 0:
            return Gap(gap.time, low, low + 1)
        following = firsts[index + 1] if index + 1 < len(firsts) else gap.high
        begins = bucket * width
        return Gap(gap.time, low, min(gap.high, following), begins, begins + width)

    return [narrow(gap) if gap.open else gap for gap in gaps]


def _bisected(part: Segment, gaps: list[Gap]) -> list[int]:
    """Close all gaps together, one statement a round."""
    for round_ in count():
        open_gaps = sum(gap.open for gap in gaps)
        if not open_gaps:
            return [gap.low for gap in gaps]
        # Many: an even flow is found in a few guesses; every third round halves, whatever the
        # flow. Few: a statement costs more than its rows, so each is cut into many.
        ways = max(PROBES // open_gaps, 1 if round_ % 3 == 2 else 2)
        probes = [gap.probes(ways=ways) if gap.open else [] for gap in gaps]
        at = _times(part, {probe for some in probes for probe in some})
        for n, some in enumerate(probes):
            for probe in some:
                gaps[n] = gaps[n].closer(probe, at[probe])
    raise AssertionError("a gap that halves closes")


def _times(part: Segment, positions: set[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for clause, values in store.among(place(part.timeline, p) for p in positions):
        sql = f"SELECT place, log_time FROM eventlog_event WHERE place {clause}"
        found.update((position(key), time) for key, time in store.fetch(sql, values))
    return found
