"""Walking a plan: matching positions in order, a chunk at a time, until the budget is spent.

Only what the rest of the query asks for is read of each row. SQLite is told which index to walk:
left to itself it may sort a type's millions of rows to find the last sixty.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice

from apps.eventlog import store
from apps.eventlog.match import matcher, needs
from apps.eventlog.places import Segment, position
from apps.eventlog.queries.plan import FEW_SOURCES, Plan, delivering
from apps.eventlog.queries.rows import Reader, Row
from apps.eventlog.queries.skip import skip
from apps.eventlog.terms import Query, Term

ROWS = 200_000  # rows a scan looks at, at most
SECONDS = 2.0  # and for so long
LARGEST = 4000  # keys or rows in one statement
LARGEST_WITH_DATA = 1000
STRETCH = 4096  # positions of the first stretch in which many sources are asked for together

Match = tuple[int, int]  # position, lane


class Scan:
    """One walk over a plan's positions; `complete` and `scanned_to` say how far it came.

    Iterating yields lists of matches as (position, lane), newest first unless `ascending`; some
    are empty, and the lane is 0 where nobody asked for it with `lanes`. It ends after the last
    candidate, or when the budget is spent: then `complete` is false and
    `scanned_to` is the last position looked at.
    """

    def __init__(
        self, plan: Plan, *, ascending: bool = False, first: int = 64, lanes: bool = False,
        rows: int | None = None, seconds: float | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.descending = plan, not ascending
        self.complete = True
        self.scanned_to: int | None = None
        cheap = [term for term in plan.rest if term.field.sort != "handled"]
        names = needs(cheap) - {"position"}
        self._check_lanes = plan.lanes is not None and plan.driver != "lanes"
        self._handled = [term for term in plan.rest if term.field.sort == "handled"]
        self._holds = matcher(Query(tuple(cheap)), as_of=plan.as_of) if cheap else None
        self._reader = Reader(plan.line, plan.known if names else {}, names)
        self._only_keys = self._reader.only_keys and not lanes and not self._check_lanes
        self._largest = LARGEST_WITH_DATA if names & {"data", "metadata"} else LARGEST
        self._size = max(1, min(first, self._largest))
        self._rows = ROWS if rows is None else rows
        self._until = time.monotonic() + (SECONDS if seconds is None else seconds)
        self._dry = False  # the last chunk held no match: look for where there may be one

    def __iter__(self) -> Iterator[list[Match]]:
        after, upto = self.plan.after, self.plan.upto
        while after < upto:
            rows, reached = self._candidates(after, upto)
            self._rows -= max(len(rows), 1)
            self._size = min(self._size * 4, self._largest)
            kept, reached = self._kept(rows, reached)
            self.scanned_to = reached
            self._dry = not kept
            if self.descending:
                upto = reached - 1
            else:
                after = reached
            yield kept
            if after < upto and (self._rows <= 0 or time.monotonic() > self._until):
                self.complete = False
                return

    def _candidates(self, after: int, upto: int) -> tuple[Sequence[Row], int]:
        """Return the next rows in order, and the position up to which there are no others."""
        plan, size = self.plan, self._size
        rows: Sequence[Row]
        if plan.driver == "log" and self._only_keys:
            rows = self._numbered(after, upto)
        elif plan.driver == "log":
            rows = self._walked(after, upto)
        else:
            keys = self._merged(after, upto)
            rows = [(key, 0) for key in keys] if self._only_keys else self._reader.at(keys)
        if len(rows) >= size:
            return rows, position(rows[-1][0])
        return rows, after + 1 if self.descending else upto

    def _numbered(self, after: int, upto: int) -> list[Row]:
        """Return the next positions there are: all of them, as the log has no gaps."""
        numbers = range(upto, after, -1) if self.descending else range(after + 1, upto + 1)
        return [(key, 0) for key in self.plan.line.places(numbers[: self._size])]

    def _walked(self, after: int, upto: int) -> list[Row]:
        """Return the next rows of the log itself, past stretches without a lane asked for."""
        rows: list[Row] = []
        lanes = self.plan.lanes
        for part in self._parts(after, upto):
            here: Segment | None = part
            if lanes is not None and self._dry:
                here = skip(part, lanes, descending=self.descending)
            if here is not None:
                rows += self._reader.walk(
                    here.low, here.high, self._size - len(rows), descending=self.descending
                )
            if len(rows) >= self._size:
                break
        return rows

    def _merged(self, after: int, upto: int) -> list[int]:
        """Return the next places from the plan's indexes, in order."""
        plan = self.plan
        keys: list[int] = []
        for part in self._parts(after, upto):
            if plan.sources and len(keys) < self._size:
                keys_of = _keys if len(plan.sources) <= FEW_SOURCES else _keys_of_many
                keys += keys_of(plan, part, self._size - len(keys), descending=self.descending)
        if plan.extra:
            inside = islice(
                (p for p in (plan.extra[::-1] if self.descending else plan.extra)
                 if after < p <= upto), self._size,
            )  # fmt: skip
            every = {position(key): key for key in (*keys, *plan.line.places(inside))}
            keys = [every[p] for p in sorted(every, reverse=self.descending)][: self._size]
        return keys

    def _parts(self, after: int, upto: int) -> list[Segment]:
        parts = self.plan.line.within(after, upto)
        return parts[::-1] if self.descending else parts

    def _kept(self, rows: Sequence[Row], reached: int) -> tuple[list[Match], int]:
        """Return the rows that match, and how far the clock let them be read."""
        lanes = self.plan.lanes
        kept: list[Match] = []
        if lanes is not None and self._check_lanes:
            rows = [row for row in rows if row[1] in lanes]
        if self._holds is None:
            kept = [(position(row[0]), row[1]) for row in rows]
        else:
            for row, glimpse in zip(rows, self._reader.glimpses(rows), strict=True):
                if self._holds(glimpse):
                    kept.append((glimpse.position, row[1]))
                if time.monotonic() > self._until and glimpse.position != position(rows[-1][0]):
                    reached = glimpse.position
                    break
        for term in self._handled:
            found = _handled(self.plan, term, [p for p, _ in kept])
            kept = [match for match in kept if (match[0] in found) is not term.negated]
        return kept, reached


def _keys(plan: Plan, part: Segment, limit: int, *, descending: bool) -> list[int]:
    """Return the first places of a segment in any of the plan's sources: a merge of short walks."""
    order = " DESC" if descending else ""
    selects: list[str] = []
    parameters: list[int] = []
    for column, value in _sources(plan, part):
        selects.append(
            f"SELECT * FROM (SELECT place FROM eventlog_event{_forced(column)} WHERE {column} = %s"
            f" AND place > %s AND place <= %s ORDER BY place{order} LIMIT %s) w{len(selects)}"
        )
        parameters += [value, part.low, part.high, limit]
    if not selects:
        return []
    sql = f"{' UNION ALL '.join(selects)} ORDER BY 1{order} LIMIT %s"
    return [key for (key,) in store.fetch(sql, [*parameters, limit])]


def _sources(plan: Plan, part: Segment) -> list[tuple[str, int]]:
    """Return a plan's sources in a segment.

    What a fork's past learnt after the fork is not the fork's event.
    """
    upto = next(s.upto for s in plan.line.segments if s.timeline == part.timeline)
    return [(column, v) for column, v in plan.sources if column != "cause" or v <= upto]


def _keys_of_many(plan: Plan, part: Segment, limit: int, *, descending: bool) -> list[int]:
    """Return what `_keys` does, in stretches that grow: each seeks once in every source."""
    sources = _sources(plan, part)
    if not sources:
        return []
    column = sources[0][0]  # that of all: a plan walks one index
    order = " DESC" if descending else ""
    ((clause, values),) = store.among(value for _, value in sources)
    sql = (
        f"SELECT place FROM eventlog_event{_forced(column)} WHERE {column} {clause}"
        f" AND place > %s AND place <= %s ORDER BY place{order} LIMIT %s"
    )
    found: list[int] = []
    low, high, width = part.low, part.high, STRETCH
    while low < high and len(found) < limit:
        edge = max(low, high - width) if descending else min(high, low + width)
        ends = (edge, high) if descending else (low, edge)
        rows = store.fetch(sql, [*values, *ends, limit - len(found)])
        found += [key for (key,) in rows]
        low, high = (low, edge) if descending else (edge, high)
        width *= 4
    return found


def counted(plan: Plan, most: int) -> int:
    """Return how many entries the sources of a plan have, at most so many."""
    n = 0
    for part in plan.line.within(plan.after, plan.upto):
        sources = _sources(plan, part)
        for clause, values in store.among(value for _, value in sources):
            ((more,),) = store.fetch(
                f"SELECT count(*) FROM (SELECT 1 FROM eventlog_event{_forced(sources[0][0])}"
                f" WHERE {sources[0][0]} {clause} AND place > %s AND place <= %s LIMIT %s) w",
                [*values, part.low, part.high, most - n],
            )
            n += more
    return n


def _forced(column: str) -> str:
    return f" INDEXED BY {_INDEX[column]}" if store.sqlite() else ""


_INDEX = {
    "lane_id": "eventlog_event_lane",
    "stream_id": "eventlog_event_stream",
    "correlation_id": "eventlog_event_correlation",
    "cause": "eventlog_event_cause",
}


def _handled(plan: Plan, term: Term, positions: Sequence[int]) -> set[int]:
    """Return which positions have a delivery the term asks for, as of the plan's moment."""
    lanes = delivering(plan.known, term)
    found: set[int] = set()
    for part in plan.line.within(0, plan.moment):
        for clause, values in store.among(positions):
            rows = store.fetch(
                f"SELECT DISTINCT cause, lane_id FROM eventlog_event WHERE cause {clause}"
                " AND place > %s AND place <= %s AND cause <= %s",
                [*values, part.low, part.high, part.upto],
            )
            found.update(cause for cause, lane in rows if lane in lanes)
    return found
