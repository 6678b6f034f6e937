"""Histograms and facets: what there is, and when, without reading it.

Where a query asks for names and positions only, rollups and positions answer exactly and in
milliseconds at any zoom; otherwise a bounded scan does, and says whether it came to its end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec

from apps.eventlog.places import Line
from apps.eventlog.queries.edges import positions_before
from apps.eventlog.queries.lanes import Strings
from apps.eventlog.queries.marks import Book
from apps.eventlog.queries.plan import Plan, plan
from apps.eventlog.queries.scan import Scan
from apps.eventlog.queries.totals import by_lane, failing, sums
from apps.eventlog.query import parse

BINS = 2000  # at most
VALUES = 100  # of a facet, at most
MINUTE, HOUR = 60_000_000, 3_600_000_000  # µs

FACETS = {"type": "type", "source": "source", "channel": "channel", "kind": "kind",
          "outcome": "type", "subscriber": "source"}  # fmt: skip
OF_DELIVERIES = {"outcome", "subscriber"}
COUNTED = 5_000  # lanes the rollups are asked about; with more, events are looked at instead


class Bin(msgspec.Struct, frozen=True):
    """One bar: `count` events from `time` (µs) on, `failed` of them deliveries that went wrong.

    `position` is that of the first event at or after `time`, or the last one there is.
    """

    position: int
    time: int
    count: int
    failed: int


class Histogram(list[Bin]):
    """Bins in order; `exact` is false when a scan stopped early, at `scanned_to`."""

    exact = True
    scanned_to: int | None = None


class Facets(dict[str, list[tuple[str, int]]]):
    """Values with counts, most frequent first, by field; not `exact` when a scan stopped early."""

    exact = True
    scanned_to: int | None = None


def histogram(
    line: Line,
    *,
    start: int,
    end: int,
    bins: int,
    text: str = "",
    after: int = 0,
    upto: int | None = None,
) -> Histogram:
    """Return how many events a query finds in each of `bins` equal spans of log_time.

    start, end   µs since 1970; from start on, before end. Bins of an hour or more begin on the
                 minute nearest to their share, which their `time` says
    bins         capped at 2000, and at one per µs; none where the span is empty
    after, upto  only positions after < p <= upto; the counts then sum to the events in both
    raises       QueryError
    """
    return histograms(line, start=start, end=end, bins=bins, texts=[text], after=after, upto=upto)[
        0
    ]


def histograms(
    line: Line,
    *,
    start: int,
    end: int,
    bins: int,
    texts: Sequence[str],
    after: int = 0,
    upto: int | None = None,
) -> list[Histogram]:
    """Return the `histogram` of each query over one span, at less than the cost of each alone."""
    plans = [plan(line, text, at=upto, after=after) for text in texts]
    times = _edges(start, end, min(bins, BINS, max(end - start, 0)))
    if not times:
        return [Histogram() for _ in plans]
    book = Book()
    before = positions_before(line, times, book=book)
    return [_drawn(it, times, before, book) for it in plans]


def _drawn(it: Plan, times: list[int], before: list[int], book: Book) -> Histogram:
    last = max(it.after, it.upto)
    edges = [min(max(edge, it.after), last) for edge in before]
    found = Histogram()
    counts = (
        sums(it, list(pairwise(edges)), book=book) if it.by_lanes else _scanned(it, edges, found)
    )
    found += [
        Bin(max(min(edge + 1, last), 1), time, *count)
        for edge, time, count in zip(edges[:-1], times[:-1], counts, strict=True)
    ]
    return found


def _edges(start: int, end: int, bins: int) -> list[int]:
    if bins < 1:
        return []
    width = (end - start) / bins
    exact = [start + (end - start) * n // bins for n in range(bins + 1)]
    if width < HOUR:
        return exact
    # On a minute the rollups know the position; half a minute of an hour is not seen in a bar.
    return [start, *((at + MINUTE // 2) // MINUTE * MINUTE for at in exact[1:-1]), end]


def _scanned(it: Plan, edges: list[int], found: Histogram) -> list[tuple[int, int]]:
    """Count matches between edges by looking at events; note in `found` how far that came."""
    counts, failed = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    wrong = failing(it.known)
    walk = Scan(replace(it, after=edges[0], upto=edges[-1]), lanes=True)
    for matches in walk:
        for position, lane in matches:
            n = bisect_left(edges, position) - 1
            counts[n] += 1
            failed[n] += lane in wrong
    found.exact, found.scanned_to = walk.complete, None if walk.complete else walk.scanned_to
    return list(zip(counts, failed, strict=True))


def facets(line: Line, text: str, *, at: int | None = None, widen: bool = False) -> Facets:
    """Return the values of type, source, channel, kind, outcome and subscriber with their counts.

    Counted among the events a query finds as of position `at`; at most 100 values a field, most
    frequent first. `widen` counts each field as though the query did not ask for that field, so
    that other values can be offered beside those chosen; it needs names and positions alone, and
    no more than 5000 different ones.
    """
    it = plan(line, text, at=at)
    found = Facets()
    if not it.by_lanes or len(it.known) > COUNTED:
        counts = _lanes_scanned(it, found)
        return _filled(found, dict.fromkeys(FACETS, (it, counts)))
    asked = {term.field.name for term in parse(text).terms} if widen else set()
    plans = {
        name: plan(line, text, at=at, without=name) if name in asked else it for name in FACETS
    }
    lanes = [it.known.keys() if p.lanes is None else p.lanes for p in plans.values()]
    every = frozenset[int]().union(*lanes)
    counts = Counter({lane: n for lane, (n, _) in by_lane(it, every).items()})
    return _filled(found, {name: (p, counts) for name, p in plans.items()})


def _lanes_scanned(it: Plan, found: Facets) -> Counter[int]:
    counts: Counter[int] = Counter()
    walk = Scan(it, lanes=True)
    for matches in walk:
        counts.update(lane for _, lane in matches)
    found.exact, found.scanned_to = walk.complete, None if walk.complete else walk.scanned_to
    return counts


def _filled(found: Facets, plans: dict[str, tuple[Plan, Counter[int]]]) -> Facets:
    for name, (it, counts) in plans.items():
        values: Counter[str] = Counter()
        for lane, n in counts.items():
            if (it.lanes is None or lane in it.lanes) and _has(it.known[lane], name):
                values[getattr(it.known[lane], FACETS[name])] += n
        found[name] = sorted(values.items(), key=lambda each: (-each[1], each[0]))[:VALUES]
    return found


def _has(strings: Strings, name: str) -> bool:
    return name not in OF_DELIVERIES or strings.kind == "delivery"
