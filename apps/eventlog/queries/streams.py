"""Which streams there are at a moment: their first and last event, how many, and of what category.

Names are stored once per system, also those of streams that begin later or only in a fork, so
each is looked up in the line's own events: two index seeks a stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from apps.eventlog import store
from apps.eventlog.places import Line, position
from apps.eventlog.queries.plan import following

LIMIT = 1000  # streams on a page, at most
NAMES = 20_000  # names looked up for one page, at most
EARLY = 20_000  # before this position the events themselves are asked which streams there are
CATEGORIES = 1000  # listed, at most
STIRRED = 50_000  # new events looked through for their streams


class Stream(msgspec.Struct, frozen=True):
    """One stream as of a moment; `first` and `last` are positions."""

    stream: str
    category: str
    first: int
    last: int
    events: int


class StreamPage(msgspec.Struct, frozen=True):
    """Streams by name. `next` is the `after` of the next page, None after the last.

    `complete` is false when too many names were looked up that do not exist at the moment; the
    page goes on at `next`.
    """

    streams: list[Stream]
    next: str | None
    complete: bool = True


class Categories(list[tuple[str, int]]):
    """Categories by name, with how many streams each has; `exact` or at most so many."""

    exact = True


def stirred(line: Line, *, after: int) -> set[str] | None:
    """Return the streams with events after a position; None where more than STIRRED are new."""
    if line.head - after > STIRRED:
        return None
    found: set[str] = set()
    for part in line.within(after, line.head):
        rows = store.fetch(
            "SELECT DISTINCT s.name FROM eventlog_event e JOIN eventlog_stream s"
            " ON s.id = e.stream_id WHERE e.place > %s AND e.place <= %s",
            [part.low, part.high],
        )
        found |= {name for (name,) in rows}
    return found


def streams(
    line: Line,
    *,
    at: int | None = None,
    category: str = "",
    prefix: str = "",
    after: str = "",
    limit: int = 100,
) -> StreamPage:
    """Return the streams that have an event as of position `at`, in order of name.

    category, prefix  narrow to one category, or to names that begin so; "" is all
    after             only names after this one, compared code point by code point
    limit             capped at 1000
    """
    limit = max(1, min(limit, LIMIT))
    moment = line.head if at is None else max(0, min(at, line.head))
    found: list[Stream] = []
    looked_up = 0
    for names in _names(line, moment, category=category, prefix=prefix, after=after, limit=limit):
        looked_up += len(names)
        found += _existing(line, moment, names)
        if len(found) > limit:
            return StreamPage(found[:limit], found[limit - 1].stream)
        if looked_up >= NAMES:
            return StreamPage(found, names[-1][1], complete=False)
    return StreamPage(found, None)


Name = tuple[int, str, str]  # id, name, category


def _names(
    line: Line, moment: int, *, category: str, prefix: str, after: str, limit: int
) -> Iterator[list[Name]]:
    """Yield names in order, a few at a time, that may be streams at the moment."""
    low = max(prefix, category)  # a category's names begin with it
    ends = [following(text) for text in (prefix, category) if text]
    if moment <= EARLY:
        names = _early(line, moment)
        yield [
            each
            for each in names
            if each[1] > after
            and each[1].startswith(prefix)
            and (not category or each[2] == category)
        ][: limit + 1]
        return
    where: str = "system_id = %s"
    values: list[Any] = [line.system]
    for condition, value in (("name >= %s", low), ("name < %s", min(ends, default=""))):
        if value:
            where, values = f"{where} AND {condition}", [*values, value]
    if category:
        where, values = f"{where} AND category = %s", [*values, category]
    size = limit + 1
    while names := _slice(where, values, after, size):
        yield names
        if len(names) < size:
            return
        after, size = names[-1][1], min(size * 4, 4000)


def _slice(where: str, values: Sequence[Any], after: str, size: int) -> list[Name]:
    forced = " INDEXED BY eventlog_stream_once" if store.sqlite() else ""
    return store.fetch(
        f"SELECT id, name, category FROM eventlog_stream{forced} WHERE {where} AND name > %s"
        " ORDER BY name LIMIT %s",
        [*values, after, size],
    )


def _early(line: Line, moment: int) -> list[Name]:
    """Return the names of the streams in the first events, by asking those."""
    ids: set[int] = set()
    for part in line.within(0, moment):
        rows = store.fetch(
            "SELECT DISTINCT stream_id FROM eventlog_event WHERE place > %s AND place <= %s"
            " AND +stream_id IS NOT NULL",
            [part.low, part.high],
        )
        ids.update(stream for (stream,) in rows)
    found: list[Name] = []
    for clause, values in store.among(ids):
        sql = f"SELECT id, name, category FROM eventlog_stream WHERE id {clause}"
        found += store.fetch(sql, values)
    return sorted(found, key=lambda each: each[1])


def _existing(line: Line, moment: int, names: Sequence[Name]) -> list[Stream]:
    """Return those of `names` that have an event as of the moment, in their order."""
    first: dict[int, int] = {}
    last: dict[int, tuple[int, int]] = {}
    seek = (
        "(SELECT e.{} FROM eventlog_event e WHERE e.stream_id = s.id AND e.place > %s"
        " AND e.place <= %s ORDER BY e.place{} LIMIT 1)"
    )
    sql = (
        f"SELECT s.id, {seek.format('place', '')}, {seek.format('place', ' DESC')},"
        f" {seek.format('revision', ' DESC')} FROM eventlog_stream s WHERE s.id "
    )
    for part in line.within(0, moment):
        for clause, values in store.among([each[0] for each in names]):
            for row in store.fetch(sql + clause, [*[part.low, part.high] * 3, *values]):
                if row[1] is not None:
                    first.setdefault(row[0], position(row[1]))
                    last[row[0]] = (position(row[2]), row[3])
    return [
        Stream(name, category, first[n], last[n][0], last[n][1] + 1)
        for n, name, category in names
        if n in first
    ]


def categories(line: Line, *, at: int | None = None) -> Categories:
    """Return the categories of the streams as of position `at`, with how many streams each has.

    Exact up to 20 000 streams; beyond that, streams that begin later count too, and `exact` says
    so. At most 1000 categories.
    """
    moment = line.head if at is None else max(0, min(at, line.head))
    found = Categories()
    counts: Counter[str] = Counter()
    looked_up = 0
    for names in _names(line, moment, category="", prefix="", after="", limit=NAMES):
        looked_up += len(names)
        counts.update(stream.category for stream in _existing(line, moment, names))
        if looked_up >= NAMES:
            found.exact = False
            counts = _at_most(line)
            break
    found += sorted(counts.items())[:CATEGORIES]
    return found


def category_names(line: Line) -> list[str]:
    """Return the categories there ever are, those with the fewest streams first; at most 1000."""
    counts = _at_most(line)
    return sorted(counts, key=lambda name: (counts[name], name))


def _at_most(line: Line) -> Counter[str]:
    """Count names by category, jumping from one category to the next."""
    counts: Counter[str] = Counter()
    where, after = "system_id = %s", ""
    values: list[Any] = [line.system]
    while len(counts) < CATEGORIES:
        rows = _slice(where, values, after, 1)
        if not rows:
            break
        _, name, category = rows[0]
        if name == category:  # no dash: other names may lie between it and those with one
            counts[category] += 1
            after = name
            continue
        start, end = f"{category}-", f"{category}."  # "." follows "-"
        counts[category] += store.fetch(
            "SELECT count(*) FROM eventlog_stream"
            " WHERE system_id = %s AND name >= %s AND name < %s",
            [line.system, start, end],
        )[0][0]
        where, values, after = "system_id = %s AND name >= %s", [line.system, end], ""
    return counts
