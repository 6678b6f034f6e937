"""How a stream's state came about: the state after each event, and the changes of one field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import facts, log
from apps.projections import exact, merge
from apps.projections.errors import UnknownStream
from apps.projections.exact import MISSING
from apps.projections.queries import snapshots
from apps.projections.queries.states import (
    FINGERPRINT,
    MERGE,
    Fold,
    code_fold,
    exists,
    read,
    stream_number,
)

PAGE = 1000  # changes on a page, by default
MOST = 5000


class Step(NamedTuple):
    """A state after one event."""

    position: int
    log_time: int
    lane: int
    state: Any
    data: bytes | None


def walk(
    line: Line, stream: str, *, after: int = 0, upto: int, projection: str = ""
) -> Iterator[Step]:
    """Yield the state after each event with after < position <= upto; the first is what was before.

    The first step has the position of the last event up to `after`, 0 for none.
    """
    if projection not in ("", MERGE):
        yield from _walk_code(line, stream, after, upto, projection)
        return
    number = stream_number(line, stream)
    start = Fold(line, number, after, marks=False)
    if after > 0:
        start.run()
    else:
        start.state, start.last = MISSING, 0
    state = start.state
    yield Step(start.last, 0, 0, state, None)
    for page in facts.of_streams(line, [number], after=after, upto=upto):
        lanes = facts.lanes(line, {fact.lane for fact in page})
        bases = snapshots.bases(line, FINGERPRINT, page)
        for fact in page:
            lane = lanes[fact.lane]
            if lane.kind == "event":
                state = merge.apply(state, read(fact.data, lane.content_type)[0])
                if fact.data is None and fact.position in bases:
                    state = bases[fact.position].state
                yield Step(fact.position, fact.log_time, fact.lane, state, fact.data)


def _walk_code(line: Line, stream: str, after: int, upto: int, projection: str) -> Iterator[Step]:
    fold = code_fold(line, stream, after, projection)
    fold.upto = upto
    before, last, told = fold.state, fold.last, False
    if fold.skip_erased():
        yield Step(last, 0, 0, before, None)
        yield Step(fold.last, log.time_at(line, fold.last) or 0, 0, fold.state, None)
        before, last, told = fold.state, fold.last, True
    for position, state in fold.run():
        if position > after:
            if not told:
                yield Step(last, 0, 0, before, None)
                told = True
            yield Step(position, log.time_at(line, position) or 0, 0, state, None)
        before, last = state, position
    if not told:
        yield Step(last, 0, 0, before, None)


class Entry(NamedTuple):
    """One change of a field: what it was from this event on. MISSING: it was not there."""

    position: int
    log_time: int
    value: Any


class History(NamedTuple):
    """Changes of a field in order. `next` goes on as `after`, None after the last."""

    entries: list[Entry]
    next: int | None


def history(
    line: Line, stream: str, *, field: str = "", after: int = 0, upto: int | None = None,
    limit: int = PAGE, projection: str = "",
) -> History:  # fmt: skip
    """Return one entry per change of what a JSON pointer leads to.

    raises  UnknownStream; ValueError for a field that is no pointer
    """
    limit = max(1, min(limit, MOST))
    upto = line.head if upto is None else min(upto, line.head)
    steps = walk(line, stream, after=max(0, after), upto=upto, projection=projection)
    value = exact.at(next(steps).state, field)
    found: list[Entry] = []
    for step in steps:
        now = exact.at(step.state, field)
        if not exact.same(now, value):
            if len(found) == limit:
                return History(found, found[-1].position)
            found.append(Entry(step.position, step.log_time, now))
            value = now
    number = None if found else facts.number(line, stream)  # None of a read model
    if number is not None and not exists(line, number):
        raise UnknownStream(line.slug, stream)
    return History(found, None)
