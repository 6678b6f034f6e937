"""Counting without reading events: whole hours and minutes from the rollups, the rest by index.

A range of positions is cut into the hours that lie whole inside it, then the minutes inside what
is left, then pieces of single minutes, which the index on lanes counts. Lane 0 is the sum of all;
its `first` is where each minute begins, so that positions are counts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line, Segment, place, position

ALL = 0  # the lane of the sums
MINUTE, HOUR = 60, 3600  # spans, in seconds
SECOND = 1_000_000  # µs
BATCH = 200  # ranges in one statement

Range = tuple[int, int]  # positions: after, upto
Tally = dict[int, list[int]]  # lane -> [count, failed]


class Piece(NamedTuple):
    """A part of range `owner`, inside one bucket of the span above (or any, at the top)."""

    owner: int
    after: int
    upto: int
    low: int  # first and last bucket of the span at hand that may hold it
    high: int


def tally(
    line: Line,
    ranges: Sequence[Range],
    *,
    lanes: Iterable[int],
    failing: frozenset[int],
    by_lane: bool = False,
) -> list[Tally]:
    """Return how many events of `lanes`, and how many failed, each range of positions holds.

    ranges   (after, upto) each, in order and without overlap
    lanes    the lanes to count; {ALL} counts failures only, by way of the `failing` lanes: all
             events of a range are upto - after
    failing  the lanes whose events are failures
    by_lane  keeps the lanes apart; otherwise everything is under ALL
    """
    wanted = sorted(set(lanes))
    found: list[Tally] = [{} for _ in ranges]
    if not wanted:
        return found
    for part in line.segments:
        pieces = _inside(part, ranges)
        for span in (HOUR, MINUTE):
            pieces = _whole_buckets(part, span, pieces, wanted, found, by_lane=by_lane)
        rest = sorted(failing) if wanted == [ALL] else wanted
        _by_index(part, pieces, rest, found, failing=failing, by_lane=by_lane)
    return found


def _inside(part: Segment, ranges: Sequence[Range]) -> list[Piece]:
    cut = [
        (owner, max(after, part.after), min(upto, part.upto))
        for owner, (after, upto) in enumerate(ranges)
    ]
    cut = [piece for piece in cut if piece[1] < piece[2]]
    if not cut:
        return []
    first, last = log_times(part, [cut[0][1] + 1, cut[-1][2]])
    low, high = first // (HOUR * SECOND), last // (HOUR * SECOND)
    return [Piece(*piece, low, high) for piece in cut]


def _whole_buckets(
    part: Segment, span: int, pieces: list[Piece], lanes: list[int], found: list[Tally], *,
    by_lane: bool,
) -> list[Piece]:  # fmt: skip
    """Add what lies in whole buckets of `span` to `found`; return the pieces that are left."""
    if not pieces:
        return []
    buckets, firsts = starts(part.timeline, span, [(p.low, p.high) for p in pieces])
    whole, left = [], []
    for piece in pieces:
        low = bisect_left(firsts, piece.after + 1)
        high = bisect_right(firsts, piece.upto + 1) - 1  # the bucket that begins after the piece
        if low < high:
            whole.append((piece.owner, buckets[low], buckets[high - 1]))
            left.append((piece, piece.after, firsts[low] - 1, low - 1))
            left.append((piece, firsts[high] - 1, piece.upto, high))
        else:
            left.append((piece, piece.after, piece.upto, bisect_right(firsts, piece.after + 1) - 1))
    for owner, lane, count, failed in _sums(part.timeline, span, whole, lanes, by_lane=by_lane):
        add(found[owner], lane, count, failed)
    return _pieces_in(span, left, buckets, firsts)


def _pieces_in(
    span: int, left: list[tuple[Piece, int, int, int]], buckets: list[int], firsts: list[int]
) -> list[Piece]:
    """Return what is left as pieces of one bucket each, its minutes as their bounds."""
    pieces = []
    for piece, after, upto, index in left:
        while after < upto:
            following = firsts[index + 1] - 1 if index + 1 < len(firsts) else upto
            end = min(upto, following)
            low = buckets[index] * span // MINUTE
            pieces.append(Piece(piece.owner, after, end, low, low + span // MINUTE - 1))
            after, index = end, index + 1
    return pieces


def _sums(
    timeline: int, span: int, whole: list[tuple[int, int, int]], lanes: list[int], *, by_lane: bool
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (owner, lane, count, failed) for ranges of whole buckets."""
    lane = "r.lane" if by_lane else "0"
    group = "p.owner, r.lane" if by_lane else "p.owner"
    for values in _batches(whole):
        for clause, some in store.among(lanes):
            yield from store.fetch(
                f"WITH p(owner, low, high) AS (VALUES {_marks(values)})"
                f" SELECT p.owner, {lane}, sum(r.count), sum(r.failed) FROM p"
                " CROSS JOIN eventlog_rollup r WHERE r.timeline = %s AND r.span = %s"
                f" AND r.lane {clause} AND r.bucket BETWEEN p.low AND p.high GROUP BY {group}",
                [*_flat(values), timeline, span, *some],
            )


def _by_index(
    part: Segment, pieces: list[Piece], lanes: list[int], found: list[Tally], *,
    failing: frozenset[int], by_lane: bool,
) -> None:  # fmt: skip
    """Count what is left of single minutes, lane by lane, in the index alone."""
    forced = " INDEXED BY eventlog_event_lane" if store.sqlite() else ""
    ranges = [
        (p.owner, place(part.timeline, p.after), place(part.timeline, p.upto)) for p in pieces
    ]
    for values in _batches(ranges):
        for clause, some in store.among(lanes):
            rows = store.fetch(
                f"WITH p(owner, low, high) AS (VALUES {_marks(values)})"
                f" SELECT p.owner, e.lane_id, count(*) FROM p CROSS JOIN eventlog_event e{forced}"
                f" WHERE e.lane_id {clause} AND e.place > p.low AND e.place <= p.high"
                " GROUP BY p.owner, e.lane_id",
                [*_flat(values), *some],
            )
            for owner, lane, count in rows:
                failed = count if lane in failing else 0
                add(found[owner], lane if by_lane else ALL, count, failed)


def add(counts: Tally, lane: int, count: int, failed: int) -> None:
    """Add to a lane's count and failures."""
    sums = counts.setdefault(lane, [0, 0])
    sums[0] += int(count)
    sums[1] += int(failed)


def starts(
    timeline: int, span: int, ranges: Sequence[tuple[int, int]]
) -> tuple[list[int], list[int]]:
    """Return the buckets of `span` in ranges of buckets, in order, and where each begins.

    One bucket beyond each range is among them, where there is one: it says where the last ends.
    """
    found: dict[int, int] = {}
    merged = _merged(ranges)
    for values in _batches([(0, *each) for each in merged]):
        found.update(
            store.fetch(
                f"WITH p(owner, low, high) AS (VALUES {_marks(values)})"
                " SELECT r.bucket, r.first FROM p CROSS JOIN eventlog_rollup r"
                " WHERE r.timeline = %s AND r.span = %s AND r.lane = 0"
                " AND r.bucket BETWEEN p.low AND p.high",
                [*_flat(values), timeline, span],
            )
        )
        found.update(
            store.fetch(
                f"WITH p(owner, low, high) AS (VALUES {_marks(values)})"
                " SELECT r.bucket, r.first FROM p CROSS JOIN eventlog_rollup r"
                " WHERE r.timeline = %s AND r.span = %s AND r.lane = 0 AND r.bucket = (SELECT"
                " min(n.bucket) FROM eventlog_rollup n WHERE n.timeline = %s AND n.span = %s"
                " AND n.lane = 0 AND n.bucket > p.high)",
                [*_flat(values), timeline, span, timeline, span],
            )
        )
    buckets = sorted(found)
    return buckets, [found[bucket] for bucket in buckets]


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def log_times(part: Segment, positions: Sequence[int]) -> list[int]:
    """Return the log_time at each position of a segment."""
    found: dict[int, int] = {}
    for clause, values in store.among({place(part.timeline, p) for p in positions}):
        sql = f"SELECT place, log_time FROM eventlog_event WHERE place {clause}"
        found.update((position(key), at) for key, at in store.fetch(sql, values))
    return [found[p] for p in positions]


def _batches(values: Sequence[tuple[int, int, int]]) -> Iterator[Sequence[tuple[int, int, int]]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]


def _marks(values: Sequence[tuple[int, int, int]]) -> str:
    return ", ".join(["(%s, %s, %s)"] * len(values))


def _flat(values: Sequence[tuple[int, int, int]]) -> list[int]:
    return [number for value in values for number in value]
