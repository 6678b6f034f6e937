"""A watch over many entities: whether a condition holds for each of them, now and over time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import facts
from apps.eventlog.queries import streams as streaming
from apps.projections import merge
from apps.projections.errors import BadExpression
from apps.projections.exact import MISSING
from apps.projections.expression import Expression
from apps.projections.queries import sources
from apps.projections.queries.batches import states_at
from apps.projections.queries.finding import facts_of
from apps.projections.queries.histories import Step, walk
from apps.projections.queries.states import MERGE, state_at
from evdebug.sdk.registry import fits

ENTITIES = 1000  # one such watch looks at, at most
CODED = 100  # the same where code makes the states: each is a word with the child


class Verdict(NamedTuple):
    """Whether a condition holds for all. `value` is MISSING while none of them is there.

    broken_by  the entities it is false for, by name
    """

    position: int
    log_time: int
    value: Any
    broken_by: list[str]


def checked(expression: Expression) -> None:
    """Raise BadExpression for what cannot be asked of many entities."""
    if expression.entities or expression.roots - {"state", "stream"}:
        raise BadExpression("Over many entities a watch speaks of each one's `state` alone.")


def verdict(
    line: Line, expression: Expression, prefix: str, *, at: int, projection: str = ""
) -> Verdict:
    """Return whether a condition holds at a position for all streams whose names begin so.

    projection  by which code events become states; merged without it
    raises  BadExpression, also where it is neither true nor false or the streams are too many;
            UnknownProjection, BrokenCode
    """
    states = _states(line, _names(line, prefix, at, projection), at, projection)
    return _Group(expression, states).verdict(at, 0)


def verdicts(
    line: Line, expression: Expression, prefix: str, *, after: int, upto: int, projection: str = ""
) -> Iterator[Verdict]:
    """Yield the verdict after each event of those streams with after < position <= upto."""
    names = _names(line, prefix, upto, projection)
    if projection not in ("", MERGE):
        yield from _by_code(line, expression, names, after, upto, projection)
        return
    group = _Group(expression, states_at(line, names, at=after))
    called = {number: name for name, number in facts.numbers(line, names).items()}
    for fact, _, data in facts_of(line, list(called), after, upto) if called else ():
        name = called[fact.stream]
        group.take(name, merge.apply(group.states.get(name, MISSING), data))
        yield group.verdict(fact.position, fact.log_time)


def _names(line: Line, prefix: str, at: int, projection: str) -> list[str]:
    coded = projection not in ("", MERGE)
    most, by = (CODED, ", which code can be asked about") if coded else (ENTITIES, "")
    page = streaming.streams(line, at=at, prefix=prefix, limit=most)
    if page.next is not None:
        raise BadExpression(f"More than {most} entities begin with {prefix[:60]!r}{by}.")
    names = [each.stream for each in page.streams]
    if not coded:
        return names
    shape = sources.projection(line, projection).shape
    if shape.by != "stream":
        raise BadExpression(f"{shape.name} makes one state across streams: watch it alone.")
    return [name for name in names if fits(shape.streams, name)]


def _states(line: Line, names: list[str], at: int, projection: str) -> dict[str, Any]:
    if projection in ("", MERGE):
        return states_at(line, names, at=at)
    return {name: state_at(line, name, at=at, projection=projection).state for name in names}


def _by_code(
    line: Line, expression: Expression, names: list[str], after: int, upto: int, projection: str
) -> Iterator[Verdict]:
    """Yield the verdict after each event: what became of each entity, in one order."""
    states: dict[str, Any] = {}
    walks = []
    for name in names:
        steps = walk(line, name, after=after, upto=upto, projection=projection)
        states[name] = next(steps).state
        walks.append(_called(name, steps))
    group = _Group(expression, states)
    for name, step in heapq.merge(*walks, key=lambda each: each[1].position):
        group.take(name, step.state)
        yield group.verdict(step.position, step.log_time)


def _called(name: str, steps: Iterator[Step]) -> Iterator[tuple[str, Step]]:
    return ((name, step) for step in steps)


class _Group:
    """The states of many entities, and which of them break a condition."""

    def __init__(self, expression: Expression, states: dict[str, Any]) -> None:
        self.expression = expression
        self.states: dict[str, Any] = {}
        self.broken: dict[str, None] = {}
        self.there: set[str] = set()
        for name, state in states.items():
            self.take(name, state)

    def take(self, name: str, state: Any) -> None:
        """Have an entity be in a state from now on. One that was deleted breaks nothing."""
        self.states[name] = state
        self.broken.pop(name, None)
        if state is MISSING or state is None:
            self.there.discard(name)
            return
        self.there.add(name)
        value = self.expression.value(state=state, stream=name)
        if value is False:
            self.broken[name] = None
        elif value is not True and value is not MISSING:
            raise BadExpression("Over many entities a watch is a condition, true or false of each.")

    def verdict(self, position: int, log_time: int) -> Verdict:
        """Return whether the condition holds for all that are there."""
        value = not self.broken if self.there else MISSING
        return Verdict(position, log_time, value, list(self.broken))
