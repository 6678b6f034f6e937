"""Where the hours and minutes of a log begin: lane 0 of the rollups, read once per question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apps.eventlog import store
from apps.eventlog.places import Segment, place, position

MINUTE, HOUR = 60, 3600  # spans, in seconds
SECOND = 1_000_000  # µs
BATCH = 200  # ranges in one statement
NEAR = 120  # minutes between two ranges that are read as one
FINE = 120  # minutes: shorter stretches gain nothing from the hours

Range = tuple[int, int]
Three = tuple[int, int, int]


class Marks:
    """The first position of each bucket of one timeline, and how many events failed in it."""

    def __init__(self, timeline: int) -> None:
        self.timeline = timeline
        self._known: dict[int, dict[int, Range]] = {MINUTE: {}, HOUR: {}}
        self._read: dict[int, list[Range]] = {MINUTE: [], HOUR: []}

    def starts(self, span: int, ranges: Sequence[Range]) -> tuple[list[int], list[int]]:
        """Return buckets of `span` in order, and the position where each begins.

        None is missing from the given ranges of buckets, nor the first one beyond each of them:
        it says where the last one ends. There may be others. No ranges: what was read before.
        """
        known = self._known[span]
        for values in batches([(0, *each) for each in self._missing(span, ranges)]):
            for bucket, first, failed in store.fetch(
                f"WITH p(owner, low, high) AS (VALUES {marks(values)})"
                " SELECT r.bucket, r.first, r.failed FROM p CROSS JOIN eventlog_rollup r"
                " WHERE r.timeline = %s AND r.span = %s AND r.lane = 0"
                " AND r.bucket >= p.low AND r.bucket <= coalesce((SELECT min(n.bucket)"
                " FROM eventlog_rollup n WHERE n.timeline = %s AND n.span = %s AND n.lane = 0"
                " AND n.bucket > p.high), p.high)",
                [*flat(values), self.timeline, span, self.timeline, span],
            ):
                known[bucket] = (first, failed)
        buckets = sorted(known)
        return buckets, [known[bucket][0] for bucket in buckets]

    def _missing(self, span: int, ranges: Sequence[Range]) -> list[Range]:
        """Return what has to be read for `ranges`, those near each other as one."""
        near = NEAR if span == MINUTE else 1
        merged: list[Range] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + near:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        read = self._read[span]
        missing = [gap for each in merged for gap in _gaps(each, read)]
        self._read[span] = sorted([*read, *missing])
        return missing

    def failed(self, span: int, low: int, high: int) -> int:
        """Return how many events failed in the buckets from `low` to `high`, read before."""
        known = self._known[span]
        if high - low < len(known):
            return sum(known[bucket][1] for bucket in range(low, high + 1) if bucket in known)
        return sum(failed for bucket, (_, failed) in known.items() if low <= bucket <= high)


class Book(dict[int, Marks]):
    """The marks of the timelines a line is made of."""

    def __missing__(self, timeline: int) -> Marks:
        self[timeline] = made = Marks(timeline)
        return made


def _gaps(wanted: Range, read: Sequence[Range]) -> Iterator[Range]:
    """Yield the parts of a range that none of `read`, in order, covers."""
    low, high = wanted
    for first, last in read:
        if last < low or first > high:
            continue
        if low < first:
            yield low, first - 1
        low = last + 1
    if low <= high:
        yield low, high


def spans_for(micros: int, pieces: int) -> tuple[int, ...]:
    """Return the spans to go through for so many pieces of a stretch of time: hours, if long."""
    long = micros // (MINUTE * SECOND) > FINE * max(pieces, 1)
    return (HOUR, MINUTE) if long else (MINUTE,)


def log_times(part: Segment, positions: Sequence[int]) -> list[int]:
    """Return the log_time at each position of a segment."""
    found: dict[int, int] = {}
    for clause, values in store.among({place(part.timeline, p) for p in positions}):
        sql = f"SELECT place, log_time FROM eventlog_event WHERE place {clause}"
        found.update((position(key), at) for key, at in store.fetch(sql, values))
    return [found[p] for p in positions]


def batches(values: Sequence[Three]) -> Iterator[Sequence[Three]]:
    """Yield slices of what is bound to one statement as `VALUES`."""
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]


def marks(values: Sequence[Three]) -> str:
    """Return the placeholders of a slice."""
    return ", ".join(["(%s, %s, %s)"] * len(values))


def flat(values: Sequence[Three]) -> list[int]:
    """Return the parameters of a slice."""
    return [number for value in values for number in value]
