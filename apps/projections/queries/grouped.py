"""A watch over many entities: whether a condition holds for each of them, now and over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import facts
from apps.eventlog.queries import streams as streaming
from apps.projections import merge
from apps.projections.errors import BadExpression
from apps.projections.exact import MISSING
from apps.projections.expression import Expression
from apps.projections.queries.batches import states_at
from apps.projections.queries.finding import facts_of

ENTITIES = 1000  # one such watch looks at, at most


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


def verdict(line: Line, expression: Expression, prefix: str, *, at: int) -> Verdict:
    """Return whether a condition holds at a position for all streams whose names begin so.

    raises  BadExpression, also where it is neither true nor false or the streams are too many
    """
    return _Group(expression, states_at(line, _names(line, prefix, at), at=at)).verdict(at, 0)


def verdicts(
    line: Line, expression: Expression, prefix: str, *, after: int, upto: int
) -> Iterator[Verdict]:
    """Yield the verdict after each event of those streams with after < position <= upto."""
    names = _names(line, prefix, upto)
    group = _Group(expression, states_at(line, names, at=after))
    called = {number: name for name, number in facts.numbers(line, names).items()}
    for fact, _, data in facts_of(line, list(called), after, upto) if called else ():
        name = called[fact.stream]
        group.take(name, merge.apply(group.states.get(name, MISSING), data))
        yield group.verdict(fact.position, fact.log_time)


def _names(line: Line, prefix: str, at: int) -> list[str]:
    page = streaming.streams(line, at=at, prefix=prefix, limit=ENTITIES)
    if page.next is not None:
        raise BadExpression(f"More than {ENTITIES} entities begin with {prefix[:60]!r}.")
    return [each.stream for each in page.streams]


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
