"""Everything at a moment: the entities there are, and what changed between two moments."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import facts
from apps.eventlog.queries import streams as streaming
from apps.projections.diff import Change, changes
from apps.projections.errors import BadExpression
from apps.projections.exact import MISSING
from apps.projections.expression import Expression
from apps.projections.grammar import ExpressionError
from apps.projections.queries.batches import states_at
from apps.projections.queries.finding import read_expression
from apps.projections.queries.states import state_at

PAGE = 60
LOOKED = 600  # entities whose state a filter looks at
SPAN = 2_000_000  # positions between two moments that are compared at once
DIFFS = 50

_CONDITION = re.compile(r"[<>=!(]|\bin\b")


class Entity(NamedTuple):
    """One entity as of a moment."""

    stream: str
    category: str
    last: int  # position of its last event
    state: Any


class Entities(NamedTuple):
    """Entities in order. `complete` is False when not all could be looked at."""

    entities: list[Entity]
    complete: bool


def entities(
    line: Line,
    *,
    at: int,
    text: str = "",
    by_name: bool = False,
    after: str = "",
    limit: int = PAGE,
) -> Entities:
    """Return the entities at a moment, those changed last first or by name.

    text    a condition on their state (`available < 0`), or how their names begin
    after   by name: only names after this one
    raises  BadExpression
    """
    text = text.strip()
    expression = read_expression(text) if _CONDITION.search(text) else None
    prefix = "" if expression else text
    most = LOOKED if expression else limit
    if by_name or prefix:
        page = streaming.streams(line, at=at, prefix=prefix, after=after, limit=most)
        rows = [(s.stream, s.category, s.last) for s in page.streams]
        complete = page.next is None
    else:
        recent = facts.recent(line, upto=at, limit=most)
        names = facts.names(stream for stream, _ in recent)
        rows = [(*names[stream], last) for stream, last in recent if stream in names]
        complete = len(recent) < most
    found = []
    states = states_at(line, [stream for stream, _, _ in rows], at=at)
    for stream, category, last in rows:
        state = states.get(stream, MISSING)
        if expression is None or meets(expression, state, stream):
            found.append(Entity(stream, category, last, state))
            if len(found) == limit:
                return Entities(found, False)
    return Entities(found, complete)


def meets(expression: Expression, state: Any, stream: str) -> bool:
    """Return whether a state meets a condition; a bare name in it is one of the state's fields."""
    fields = {}
    for name in expression.entities:
        fields[name] = state.get(name, MISSING) if isinstance(state, dict) else MISSING
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


def compared(line: Line, stream: str, *, before: int, after: int) -> Changed:
    """Return what became of one entity between two positions; `events` is not counted."""
    a, b = (state_at(line, stream, at=moment).state for moment in (before, after))
    there = [value is not MISSING and value is not None for value in (a, b)]
    kind = "changed" if all(there) else "created" if there[1] else "deleted"
    return Changed(stream, kind, 0, a, b, changes(a, b))


class Changes(NamedTuple):
    """What changed in a whole system. `listed` are the first of them by number of events."""

    entities: int
    created: int
    events: int
    listed: list[Changed]


def what_changed(line: Line, *, before: int, after: int, limit: int = DIFFS) -> Changes:
    """Return what changed between two positions: how many entities, and the busiest with diffs.

    raises  BadExpression when more than SPAN positions lie between them
    """
    low, high = sorted((before, after))
    if high - low > SPAN:
        raise BadExpression(
            f"{high - low} positions lie between the two moments; at most {SPAN} are compared."
        )
    touched = facts.touched(line, after=low, upto=high)
    existed = facts.last_places(line, list(touched), upto=low)
    busiest = sorted(touched, key=lambda n: (-touched[n], n))[:limit]
    names = facts.names(busiest)
    listed = []
    for number in busiest:
        one = compared(line, names[number][0], before=before, after=after)
        if one.changes:
            listed.append(one._replace(events=touched[number]))
    created = sum(number not in existed for number in touched)
    return Changes(len(touched), created, sum(touched.values()), listed)
