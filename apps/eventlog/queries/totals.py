"""How many events a plan of lanes and positions alone finds: answered by the rollups."""

from __future__ import annotations

from collections.abc import Sequence

from apps.eventlog.envelope import FAILURES
from apps.eventlog.queries.lanes import Strings
from apps.eventlog.queries.marks import Book, Range
from apps.eventlog.queries.plan import Plan
from apps.eventlog.queries.rollups import ALL, Tally, tally


def failing(known: dict[int, Strings]) -> frozenset[int]:
    """Return the lanes whose events are deliveries that went wrong."""
    return frozenset(
        lane for lane, s in known.items() if s.kind == "delivery" and s.type in FAILURES
    )


def sums(it: Plan, ranges: Sequence[Range], *, book: Book | None = None) -> list[tuple[int, int]]:
    """Return (count, failed) of a plan in each range of positions (after, upto), in order.

    The plan must be `by_lanes`; what lies outside its own positions is left out. `book` is what
    was read of its line before.
    """
    assert it.by_lanes, "only events themselves can answer the rest"
    inside = [_clipped(it, each) for each in ranges]
    book = Book() if book is None else book
    if it.lanes is None:
        return _whole(it, inside, book)
    others = it.known.keys() - it.lanes
    if len(others) >= len(it.lanes):
        return _some(it, inside, it.lanes, book)
    # All but a few lanes: count those few and take them from the whole.
    less = _some(it, inside, others, book)
    whole = _whole(it, inside, book)
    return [(n - m, f - g) for (n, f), (m, g) in zip(whole, less, strict=True)]


def by_lane(it: Plan, lanes: frozenset[int]) -> Tally:
    """Return {lane: [count, failed]} of `lanes` among a plan's positions."""
    span = (it.after, max(it.after, it.upto))
    return tally(it.line, [span], lanes=lanes, failing=failing(it.known), by_lane=True)[0]


def _clipped(it: Plan, each: Range) -> Range:
    after = max(it.after, each[0])
    return after, max(after, min(it.upto, each[1]))


def _whole(it: Plan, ranges: list[Range], book: Book) -> list[tuple[int, int]]:
    wrong = failing(it.known)
    found = tally(it.line, ranges, lanes={ALL} if wrong else (), failing=wrong, book=book)
    return [
        (upto - after, some[ALL][1] if ALL in some else 0)
        for (after, upto), some in zip(ranges, found, strict=True)
    ]


def _some(
    it: Plan, ranges: list[Range], lanes: frozenset[int] | set[int], book: Book
) -> list[tuple[int, int]]:
    found = tally(it.line, ranges, lanes=lanes, failing=failing(it.known), book=book)
    return [tuple(some.get(ALL, (0, 0))) for some in found]  # type: ignore[misc]
