"""Counting without reading events: whole hours and minutes from the rollups, the rest by index.

A range of positions is cut into the hours that lie whole inside it, then the minutes inside what
is left, then pieces of single minutes, which the index on lanes counts. Lane 0 is the sum of all;
its `first` is where each minute begins, so that positions are counts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line, Segment, place
from apps.eventlog.queries.marks import (
    MINUTE,
    SECOND,
    Book,
    Marks,
    Range,
    Three,
    batches,
    flat,
    log_times,
    marks,
    spans_for,
)

ALL = 0  # the lane of the sums

Tally = dict[int, list[int]]  # lane -> [count, failed]


class Piece(NamedTuple):
    """A part of range `owner`: positions, and the buckets of the span at hand that hold it."""

    owner: int
    after: int
    upto: int
    low: int
    high: int


def tally(
    line: Line,
    ranges: Sequence[Range],
    *,
    lanes: Iterable[int],
    failing: frozenset[int],
    by_lane: bool = False,
    book: Book | None = None,
) -> list[Tally]:
    """Return how many events of `lanes`, and how many failed, each range of positions holds.

    ranges   (after, upto) each, in order and without overlap
    lanes    the lanes to count; {ALL} counts failures only, by way of the `failing` lanes: all
             events of a range are upto - after
    failing  the lanes whose events are failures
    by_lane  keeps the lanes apart; otherwise everything is under ALL
    book     what was read of the same line before
    """
    count = _Count(sorted(set(lanes)), failing, by_lane, [{} for _ in ranges])
    book = Book() if book is None else book
    for part in line.segments if count.lanes else ():
        count.segment(part, ranges, book[part.timeline])
    return count.found


class _Count(NamedTuple):
    lanes: list[int]
    failing: frozenset[int]
    by_lane: bool
    found: list[Tally]

    def segment(self, part: Segment, ranges: Sequence[Range], known: Marks) -> None:
        """Add what one segment holds of the ranges."""
        cut = [
            (owner, max(after, part.after), min(upto, part.upto))
            for owner, (after, upto) in enumerate(ranges)
        ]
        cut = [piece for piece in cut if piece[1] < piece[2]]
        if not cut:
            return
        first, last = log_times(part, [cut[0][1] + 1, cut[-1][2]])
        spans = spans_for(last - first, len(cut))
        unit = spans[0] * SECOND
        pieces = [Piece(*piece, first // unit, last // unit) for piece in cut]
        for span in spans:
            pieces = self._whole_buckets(span, pieces, known)
        self._by_index(part, pieces, known)

    def _whole_buckets(self, span: int, pieces: list[Piece], known: Marks) -> list[Piece]:
        """Add what lies in whole buckets of `span`; return the pieces that are left."""
        if not pieces:
            return []
        buckets, firsts = known.starts(span, [(p.low, p.high) for p in pieces])
        whole: list[Three] = []
        left: list[Piece] = []
        for piece in pieces:
            low = bisect_left(firsts, piece.after + 1)
            high = bisect_right(firsts, piece.upto + 1) - 1  # the bucket that begins after it
            if low < high:
                whole.append((piece.owner, buckets[low], buckets[high - 1]))
                left += _cut(piece, piece.after, firsts[low] - 1, span, buckets, firsts)
                left += _cut(piece, firsts[high] - 1, piece.upto, span, buckets, firsts)
            else:
                left += _cut(piece, piece.after, piece.upto, span, buckets, firsts)
        if self.lanes == [ALL]:
            for owner, first, last in whole:
                add(self.found[owner], ALL, 0, known.failed(span, first, last))
        else:
            for owner, *sums in self._sums(known.timeline, span, whole):
                add(self.found[owner], *sums)
        return left

    def _sums(self, timeline: int, span: int, whole: list[Three]) -> Iterator[tuple[int, ...]]:
        """Yield (owner, lane, count, failed) for ranges of whole buckets."""
        lane, group = ("r.lane", " GROUP BY r.lane") if self.by_lane else ("0", "")
        for clause, some in store.among(self.lanes):
            yield from _per_range(
                whole,
                f"{lane}, sum(r.count), sum(r.failed)",
                f"eventlog_rollup r WHERE r.timeline = %s AND r.span = %s AND r.lane {clause}"
                " AND r.bucket BETWEEN p.low AND p.high",
                [timeline, span, *some],
                group,
            )

    def _by_index(self, part: Segment, pieces: list[Piece], known: Marks) -> None:
        """Count what is left of single minutes, lane by lane, in the index alone.

        Of the pieces that make up a whole minute one needs no counting: it is what the others
        leave of the minute's sum.
        """
        lanes = self.lanes
        if lanes == [ALL]:
            lanes = sorted(self.failing)
            pieces = [p for p in pieces if known.failed(MINUTE, p.low, p.high)]
        counts: list[Tally] = [{} for _ in pieces]
        spared = _spared(pieces, known)
        ranges = [
            (n, place(part.timeline, p.after), place(part.timeline, p.upto))
            for n, p in enumerate(pieces)
            if n not in spared
        ]
        forced = " INDEXED BY eventlog_event_lane" if store.sqlite() else ""
        for clause, some in store.among(lanes):
            rows = _per_range(
                ranges,
                "e.lane_id, count(*)",
                f"eventlog_event e{forced} WHERE e.lane_id {clause}"
                " AND e.place > p.low AND e.place <= p.high",
                some,
                " GROUP BY e.lane_id",
            )
            for n, lane, count in rows:
                failed = count if lane in self.failing else 0
                add(counts[n], lane if self.by_lane else ALL, count, failed)
        self._fill(spared, pieces, counts, known)
        for piece, found in zip(pieces, counts, strict=True):
            for lane, (count, failed) in found.items():
                add(self.found[piece.owner], lane, count, failed)

    def _fill(
        self, spared: dict[int, list[int]], pieces: list[Piece], counts: list[Tally], known: Marks
    ) -> None:
        """Count the pieces that were spared: the minute's sum without its other pieces."""
        minutes = [(n, pieces[n].low, pieces[n].low) for n in spared]
        if self.lanes == [ALL]:
            for n, low, high in minutes:
                add(counts[n], ALL, 0, known.failed(MINUTE, low, high))
        else:
            for n, *sums in self._sums(known.timeline, MINUTE, minutes):
                add(counts[n], *sums)
        for n, others in spared.items():
            for other in others:
                for lane, (count, failed) in counts[other].items():
                    add(counts[n], lane, -count, -failed)


def add(tally: Tally, lane: int, count: int | None, failed: int | None) -> None:
    """Add to a lane's sums; a sum over no rows is None."""
    sums = tally.setdefault(lane, [0, 0])
    sums[0] += int(count or 0)
    sums[1] += int(failed or 0)


def _spared(pieces: list[Piece], known: Marks) -> dict[int, list[int]]:
    """Return {index of a piece: the others} for the pieces, in order, that make up a minute."""
    buckets, firsts = known.starts(MINUTE, [])
    found: dict[int, list[int]] = {}
    for bucket, group in groupby(range(len(pieces)), key=lambda n: pieces[n].low):
        some = list(group)
        at = bisect_left(buckets, bucket)
        whole = (
            len(some) > 1
            and at + 1 < len(firsts)
            and pieces[some[0]].after + 1 == firsts[at]
            and pieces[some[-1]].upto + 1 == firsts[at + 1]
            and all(pieces[a].upto == pieces[b].after for a, b in pairwise(some))
        )
        if whole:
            widest = max(some, key=lambda n: pieces[n].upto - pieces[n].after)
            found[widest] = [n for n in some if n != widest]
    return found


def _per_range(
    ranges: list[Three], columns: str, source: str, parameters: Sequence[object], group: str
) -> Iterator[tuple[int, ...]]:
    """Yield (owner, *columns) of `source` for each range p (owner, low, high) in turn.

    In turn: each range is a short walk of an index. PostgreSQL would rather read all lanes once
    and compare each row with each range, unless the ranges come first by LATERAL.
    """
    for values in batches(ranges):
        listed = f"WITH p(owner, low, high) AS (VALUES {marks(values)})"
        if store.sqlite():
            by = group.replace(" GROUP BY ", " GROUP BY p.owner, ") or " GROUP BY p.owner"
            sql = f"{listed} SELECT p.owner, {columns} FROM p CROSS JOIN {source}{by}"
        else:
            sql = (
                f"{listed} SELECT p.owner, x.* FROM p CROSS JOIN LATERAL"
                f" (SELECT {columns} FROM {source}{group}) x"
            )
        yield from store.fetch(sql, [*flat(values), *parameters])


def _cut(
    piece: Piece, after: int, upto: int, span: int, buckets: list[int], firsts: list[int]
) -> Iterator[Piece]:
    """Yield what is left of a piece, one for each bucket of `span`, with that one's minutes."""
    index = bisect_right(firsts, after + 1) - 1
    while after < upto:
        end = firsts[index + 1] - 1 if index + 1 < len(firsts) else upto
        minute = buckets[index] * (span // MINUTE)
        yield Piece(piece.owner, after, min(upto, end), minute, minute + span // MINUTE - 1)
        after, index = end, index + 1
