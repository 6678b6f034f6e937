"""Finding events by a query: pages of matches as of a moment, and how many there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.envelope import Recorded
from apps.eventlog.match import matcher
from apps.eventlog.places import MASK, Line
from apps.eventlog.queries import log, scan
from apps.eventlog.queries.plan import plan
from apps.eventlog.queries.totals import sums
from apps.eventlog.query import parse

LIMIT = 1000  # events on a page, at most
STREAMS = 50_000  # with a prefix whose entries are counted, at most
COUNTED = 1_000_000  # entries of an index that are counted, at most
PAGE_BYTES = 32 * 1024 * 1024  # data and metadata on a page, unless one event alone has more


class Page(NamedTuple):
    """One page of matches.

    next        pass it as `before` (`after` when ascending) for the next page; None: no more
    complete    False when the scan stopped early: there may be matches beyond `scanned_to`
    scanned_to  the last position looked at, where it stopped early
    """

    events: list[Recorded]
    next: int | None
    complete: bool = True
    scanned_to: int | None = None


class Count(NamedTuple):
    """How many events match; a lower bound where it is not exact."""

    n: int
    exact: bool


def search(
    line: Line,
    text: str,
    *,
    at: int | None = None,
    before: int | None = None,
    after: int | None = None,
    limit: int = 60,
    ascending: bool = False,
    most: int | None = None,
) -> Page:
    """Return the events a query asks for as of position `at`, newest first unless `ascending`.

    before, after  both exclusive; together they bound the page
    limit          capped at 1000; a page of large events ends earlier, with `next`
    most           bytes of data and metadata on the page, unless one event alone has more;
                   PAGE_BYTES where None
    raises         QueryError with the column of what is wrong
    cost           an index walk of the page where names, stream, correlation, id or cause are
                   asked for; else a scan of at most 200 000 rows or 2 s
    """
    limit = max(1, min(limit, LIMIT))
    walk = scan.Scan(
        plan(line, text, at=at, after=after, before=before), ascending=ascending, first=limit + 1
    )
    found: list[int] = []
    for matches in walk:
        found += [at for at, _ in matches]
        if len(found) > limit:
            break
    events = _loaded(line, found[:limit], PAGE_BYTES if most is None else most)
    if not ascending:
        events.reverse()
    if len(events) < len(found):
        return Page(events, events[-1].position)
    if walk.complete:
        return Page(events, None)
    return Page(events, walk.scanned_to, complete=False, scanned_to=walk.scanned_to)


def _loaded(line: Line, positions: list[int], most: int) -> list[Recorded]:
    """Return the first events at `positions` that fit on a page together, one at least."""
    if not positions:
        return []
    order = " DESC" if positions[0] > positions[-1] else ""
    ((clause, values),) = store.among(line.places(positions))
    events = log.load(
        line,
        "e.place IN (SELECT w.place FROM (SELECT place, row_number() OVER o AS n,"
        " sum(coalesce(length(data), 0) + length(metadata)) OVER o AS total FROM eventlog_event"
        f" WHERE place {clause} WINDOW o AS (ORDER BY place & %s{order})) w"
        " WHERE w.n = 1 OR w.total <= %s)",
        [*values, MASK, most],
    )
    return sorted(events, key=lambda event: event.position)


def count(line: Line, text: str, *, at: int | None = None) -> Count:
    """Return how many events a query asks for as of position `at`.

    cost  no event is read where only names and positions, or streams or correlations alone, are
          asked for; else a bounded scan
    """
    it = plan(line, text, at=at)
    if it.after >= it.upto:
        return Count(0, exact=True)
    if it.by_lanes:
        ((n, _),) = sums(it, [(it.after, it.upto)])
        return Count(n, exact=True)
    if it.driver == "log":  # there may be many streams with a prefix
        wide = plan(line, text, at=at, streams=STREAMS)
        it = wide if wide.by_index else it
    if it.by_index:
        n = scan.counted(it, COUNTED)
        return Count(n, exact=n < COUNTED)
    walk = scan.Scan(it)
    n = sum(len(matches) for matches in walk)
    return Count(n, exact=walk.complete)


def follower(line: Line, text: str) -> Callable[[Recorded], bool]:
    """Return a function that says whether a query holds for an event as it arrives.

    raises  QueryError, also for `handled-by`: its deliveries come later
    """
    return matcher(parse(text), as_of=line.log_time)
