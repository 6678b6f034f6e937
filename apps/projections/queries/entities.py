"""Everything at a moment: the entities there are, and what changed between two moments."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import facts, tallies
from apps.eventlog.queries import streams as streaming
from apps.projections.diff import Change, changes
from apps.projections.errors import BadExpression
from apps.projections.exact import MISSING
from apps.projections.expression import Expression
from apps.projections.grammar import ExpressionError
from apps.projections.queries.batches import states_at
from apps.projections.queries.finding import fields_of, read_expression
from apps.projections.queries.states import state_at

PAGE = 60
SPARE = 40  # looked at beside a page, in place of those that were deleted
LOOKED = 600  # entities whose state a filter or an order by value looks at
KINDS = 50  # categories, at most, that are looked at for what a condition asks for
SAMPLE = 3  # entities of each that are
COUNTED = 20_000  # entities, at most, that are counted at a moment
DIFFS = 50  # entities shown with what changed in them
LOOKED_BACK = 20_000  # events from the later moment back that are looked at for those
ENDED = 2000  # entities that may have ended whose end is looked at

_CONDITION = re.compile(r"[<>=!(]|\bin\b")


class Entity(NamedTuple):
    """One entity as of a moment."""

    stream: str
    category: str
    last: int  # position of its last event
    state: Any


class Entities(NamedTuple):
    """Entities in order. `complete` is False when not all could be looked at.

    deleted  how many of those looked at are left out because they were deleted
    looked   at how many
    """

    entities: list[Entity]
    complete: bool
    deleted: int = 0
    looked: int = 0


def entities(
    line: Line,
    *,
    at: int,
    text: str = "",
    by_name: bool = False,
    after: str = "",
    limit: int = PAGE,
    key: Callable[[Any], Any] | None = None,
    deleted: bool = False,
) -> Entities:
    """Return the entities at a moment, those changed last first or by name.

    text    a condition on their state (`available < 0`), or how their names begin
    after   by name: only names after this one
    key     order them by this of their states instead
    deleted have those, too, that were deleted by then
    raises  BadExpression
    """
    text = text.strip()
    expression = read_expression(text) if _CONDITION.search(text) else None
    prefix = "" if expression else text
    most = LOOKED if expression or key else limit + SPARE
    if by_name or prefix:
        page = streaming.streams(line, at=at, prefix=prefix, after=after, limit=most)
        rows = [(s.stream, s.category, s.last) for s in page.streams]
        complete = page.next is None
    else:
        recent = facts.recent(line, upto=at, limit=most, rows=LOOKED_BACK)
        names = facts.names(stream for stream, _ in recent)
        rows = [(*names[stream], last) for stream, last in recent if stream in names]
        complete = len(recent) < most and at <= LOOKED_BACK
        if not complete:
            rows += _silent(line, expression, at, {stream for stream, _, _ in rows}, most)
    found, gone = [], 0
    states = states_at(line, [stream for stream, _, _ in rows], at=at)
    for stream, category, last in rows:
        state = states.get(stream, MISSING)
        if state is None and not deleted:
            gone += 1
        elif expression is None or meets(expression, state, stream):
            found.append(Entity(stream, category, last, state))
    if key is not None:
        found.sort(key=lambda each: key(each.state))
    return Entities(found[:limit], complete and len(found) <= limit, gone, len(rows))


def _silent(
    line: Line, expression: Expression | None, at: int, known: set[str], most: int
) -> list[tuple[str, str, int]]:
    """Return more entities to look at than those that changed last."""
    if expression:
        return _likely(line, expression, at, known)
    if len(known) >= most:
        return []
    page = streaming.streams(line, at=at, limit=most)
    more = [(s.stream, s.category, s.last) for s in page.streams if s.stream not in known]
    return sorted(more, key=lambda row: -row[2])


def _likely(
    line: Line, expression: Expression, at: int, known: set[str]
) -> list[tuple[str, str, int]]:
    """Return more entities to look at: those of categories that have what a condition asks for.

    Whether one has is told by a few of its entities.
    """
    found: list[tuple[str, str, int]] = []
    for category in streaming.category_names(line)[:KINDS]:
        few = streaming.streams(line, at=at, category=category, limit=SAMPLE).streams
        states = states_at(line, [each.stream for each in few], at=at).values()
        own = {name for state in states if isinstance(state, dict) for name in state}
        if expression.entities & (own | {category}):
            page = streaming.streams(line, at=at, category=category, limit=LOOKED)
            found += [(s.stream, s.category, s.last) for s in page.streams if s.stream not in known]
    return sorted(found, key=lambda row: -row[2])[: 2 * LOOKED]


def begun(line: Line, *, at: int) -> int | None:
    """Return how many entities began by a moment, None where they are too many to count."""
    return tallies.counted(line, after=0, upto=at).streams if tallies.few(line, COUNTED) else None


def field_of(text: str) -> str:
    """Return the field a filter speaks of first, "" for none."""
    if not _CONDITION.search(text):
        return ""
    return next(iter(fields_of(text) or re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text)), "")


def meets(expression: Expression, state: Any, stream: str) -> bool:
    """Return whether a state meets a condition; a bare name in it is one of the state's fields.

    The category's name stands for the state: `stock.available < 0`.
    """
    fields = {}
    for name in expression.entities:
        own = state.get(name, MISSING) if isinstance(state, dict) else MISSING
        fields[name] = state if own is MISSING and name == stream.partition("-")[0] else own
    try:
        return expression.holds(state=state, stream=stream, others={stream: state} | fields)
    except ExpressionError as error:
        raise BadExpression.of(error) from error


class Changed(NamedTuple):
    """What became of one entity between two moments."""

    stream: str
    kind: str  # created, changed or deleted
    events: int
    before: Any
    after: Any
    changes: list[Change]


def compared(line: Line, stream: str, *, before: int, after: int, projection: str = "") -> Changed:
    """Return what became of one entity between two positions; `events` is not counted.

    raises  UnknownStream, UnknownProjection, BrokenCode
    """
    a, b = (
        state_at(line, stream, at=moment, projection=projection).state for moment in (before, after)
    )
    there = [value is not MISSING and value is not None for value in (a, b)]
    kind = "changed" if all(there) else "created" if there[1] else "deleted"
    return Changed(stream, kind, 0, a, b, changes(a, b))


class Changes(NamedTuple):
    """What changed in a whole system, counts first. `listed` are those of them changed last.

    deleted  None where too many may have been to look at each
    """

    entities: int
    created: int
    changed: int
    deleted: int | None
    listed: list[Changed]
    complete: bool = True


def what_changed(line: Line, *, before: int, after: int, limit: int = DIFFS) -> Changes:
    """Return what changed between two positions, either way round.

    The counts are read off the index of streams, whatever lies between; diffs are those of
    `limit` entities.
    """
    low, high = (max(0, min(each, line.head)) for each in sorted((before, after)))
    counts = tallies.counted(line, after=low, upto=high)
    gone = _ended(line, low, high, counts.streams)
    recent = [
        (stream, last)
        for stream, last in facts.recent(line, upto=high, limit=limit, rows=LOOKED_BACK)
        if last > low
    ]
    names = facts.names(stream for stream, _ in recent)
    listed = []
    for number, _ in recent:
        one = compared(line, names[number][0], before=before, after=after)
        if one.changes:
            count = facts.revisions(line, [number], upto=high).get(number, 0)
            count -= facts.revisions(line, [number], upto=low).get(number, 0)
            listed.append(one._replace(events=count))
    made, deleted = (counts.begun, gone) if before <= after else (gone or 0, counts.begun)
    changed = counts.streams - counts.begun - (gone or 0)
    return Changes(counts.streams, made, changed, deleted, listed, len(recent) < limit)


def _ended(line: Line, low: int, high: int, streams: int) -> int | None:
    """Return how many entities that were there at one position are gone at a later one."""
    if not low:
        return 0
    numbers = tallies.endings(line, after=low, upto=high, streams=streams)
    if len(numbers) > ENDED:
        return None
    names = [name for name, _ in facts.names(numbers).values()]
    now = states_at(line, names, at=high)
    ended = [name for name in names if now.get(name, MISSING) is None]
    was = states_at(line, ended, at=low)
    return sum(was.get(name, MISSING) not in (MISSING, None) for name in ended)
