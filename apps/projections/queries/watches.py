"""Expressions somebody looks at: their value at the playhead, and their history in a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections.errors import BadExpression, UnknownStream
from apps.projections.exact import MISSING, same
from apps.projections.expression import Expression
from apps.projections.grammar import ExpressionError
from apps.projections.models import Watch
from apps.projections.queries.finding import moments, read_expression
from apps.projections.queries.states import state_at

MOST = 30  # watches of one person in one system
EVENTS = 3000  # looked at for the history of one watch


class Stretch(NamedTuple):
    """What an expression was from a moment on."""

    position: int
    log_time: int
    value: Any


class Seen(NamedTuple):
    """A watch at a moment. `history` begins with what it was at the start of the window."""

    watch: Watch
    value: Any
    history: list[Stretch]
    error: str = ""
    complete: bool = True

    @property
    def broken(self) -> bool:
        """Whether it is a rule that does not hold."""
        return self.watch.must_hold and self.value is False


def watches(line: Line, *, owner: int) -> list[Watch]:
    """Return a person's watches of a system, oldest first."""
    return list(Watch.objects.filter(system=line.system, owner=owner).order_by("pk")[:MOST])


def watch(line: Line, number: int, *, owner: int) -> Watch | None:
    """Return one of a person's watches."""
    return Watch.objects.filter(system=line.system, owner=owner, pk=number).first()


def seen(line: Line, watch: Watch, *, at: int, start: int, end: int) -> Seen:
    """Return a watch as of position `at`, with its history between two positions."""
    try:
        expression = read_expression(watch.expression)
        stream = watch.stream or next(iter(expression.entities), "")
        value = value_at(line, expression, stream, at)
        history, complete = _history(line, expression, stream, start, end)
    except (BadExpression, ExpressionError, UnknownStream) as error:
        return Seen(watch, MISSING, [], str(error))
    return Seen(watch, value, history, complete=complete)


def value_at(line: Line, expression: Expression, stream: str, at: int) -> Any:
    """Return what an expression is at a position."""
    names = expression.entities | ({stream} if stream else set())
    states = {name: state_at(line, name, at=at).state for name in names}
    if not _begun(states):
        return MISSING
    return expression.value(
        state=states.get(stream, MISSING), stream=stream, others=states, position=at
    )


def _begun(states: Mapping[str, Any]) -> bool:
    """Return whether any entity is there yet: before that nothing is true or broken."""
    return any(state is not MISSING for state in states.values())


def _history(
    line: Line, expression: Expression, stream: str, start: int, end: int
) -> tuple[list[Stretch], bool]:
    if not stream:
        return [], True
    begun = log.time_at(line, max(1, start)) or 0
    value = value_at(line, expression, stream, start)
    found = [Stretch(start, begun, value)]
    seen_moments = moments(line, stream, expression, after=start, upto=end)
    for looked, moment in enumerate(seen_moments):
        if looked == EVENTS:
            return found, False
        now = expression.value(**moment.names)
        if not same(now, value):
            found.append(Stretch(moment.position, moment.log_time, now))
            value = now
    return found, True


def broken_rules(line: Line, *, owner: int, start: int, end: int) -> list[tuple[int, int, str]]:
    """Return (position, log_time, expression) where a person's rules first broke in a window."""
    found = []
    for each in watches(line, owner=owner):
        if each.must_hold:
            history = seen(line, each, at=start, start=start, end=end).history
            first = next((s for s in history if s.value is False), None)
            if first:
                found.append((first.position, first.log_time, each.expression))
    return found
