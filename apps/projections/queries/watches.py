"""Expressions somebody looks at: their value at the playhead, and their history in a window."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections.errors import BadExpression, BrokenCode, UnknownProjection, UnknownStream
from apps.projections.exact import MISSING, same
from apps.projections.expression import Expression
from apps.projections.grammar import ExpressionError
from apps.projections.models import Watch
from apps.projections.queries import grouped
from apps.projections.queries.bycode import coded_moments
from apps.projections.queries.finding import moments, read_expression
from apps.projections.queries.states import MERGE, state_at

UNSEEN = (BadExpression, ExpressionError, UnknownStream, UnknownProjection, BrokenCode)
NAMED = 3  # entities that break a watch over many, as it names them
RULES = 100  # of a system that are looked at
MOST = 30  # watches of one person in one system
EVENTS = 3000  # looked at for the history of one watch


class Stretch(NamedTuple):
    """What an expression was from a moment on."""

    position: int
    log_time: int
    value: Any


class Rule(NamedTuple):
    """A condition that must hold, whoever keeps it; of a stream "x-*", for each that begins so."""

    stream: str
    projection: str
    expression: str


class Changes(NamedTuple):
    """Where a rule began or ceased to be broken, oldest first, and up to where was looked."""

    found: list[tuple[Stretch, str]]  # and the entity that breaks it, "" where it holds again
    upto: int


class Seen(NamedTuple):
    """A watch at a moment. `history` begins with what it was at the start of the window."""

    watch: Watch
    value: Any
    history: list[Stretch]
    error: str = ""
    complete: bool = True
    broken_by: tuple[str, ...] = ()  # of many entities those it is false for now, a few of them

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
        by = watch.projection
        value = value_at(line, expression, stream, at, by)
        history, complete = _history(line, expression, stream, start, end, by)
        names = _broken_by(line, expression, stream, at, by) if value is False else ()
    except UNSEEN as error:
        return Seen(watch, MISSING, [], str(error))
    return Seen(watch, value, history, complete=complete, broken_by=names)


def _broken_by(
    line: Line, expression: Expression, stream: str, at: int, projection: str
) -> tuple[str, ...]:
    if not stream.endswith("*"):
        return ()
    prefix = stream.removesuffix("*")
    found = grouped.verdict(line, expression, prefix, at=at, projection=projection)
    return tuple(found.broken_by[:NAMED])


def value_at(line: Line, expression: Expression, stream: str, at: int, projection: str = "") -> Any:
    """Return what an expression is at a position; over many entities whether it holds for all."""
    if stream.endswith("*"):
        prefix = stream.removesuffix("*")
        return grouped.verdict(line, expression, prefix, at=at, projection=projection).value
    if projection not in ("", MERGE):
        state = state_at(line, stream, at=at, projection=projection).state
        if state is MISSING:
            return MISSING
        return expression.value(state=state, stream=stream, others={stream: state}, position=at)
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
    line: Line, expression: Expression, stream: str, start: int, end: int, projection: str
) -> tuple[list[Stretch], bool]:
    if not stream:
        return [], True
    begun = log.time_at(line, max(1, start)) or 0
    value = value_at(line, expression, stream, start, projection)
    found = [Stretch(start, begun, value)]
    for looked, then in enumerate(_values(line, expression, stream, start, end, projection)):
        if looked == EVENTS:
            return found, False
        if not same(then.value, value):
            found.append(then)
            value = then.value
    return found, True


def _values(
    line: Line, expression: Expression, stream: str, after: int, upto: int, projection: str
) -> Iterator[Stretch]:
    """Yield what an expression is after each event that feeds what it speaks of."""
    if stream.endswith("*"):
        prefix = stream.removesuffix("*")
        for then in grouped.verdicts(
            line, expression, prefix, after=after, upto=upto, projection=projection
        ):
            yield Stretch(then.position, then.log_time, then.value)
        return
    if projection in ("", MERGE):
        found = moments(line, stream, expression, after=after, upto=upto)
    else:
        found = coded_moments(line, stream, expression, after, upto, projection)
    for moment in found:
        yield Stretch(moment.position, moment.log_time, expression.value(**moment.names))


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


def rules(line: Line) -> list[Rule]:
    """Return the rules anybody keeps of a system, each once, at most RULES."""
    kept = Watch.objects.filter(system=line.system, must_hold=True)
    found = kept.values_list("stream", "projection", "expression").distinct()
    return [Rule(*row) for row in found.order_by("expression", "stream", "projection")[:RULES]]


def changes(line: Line, rule: Rule, *, after: int, broken: bool, seconds: float) -> Changes:
    """Return what became of a rule after a position where it was `broken` or not.

    seconds  after which it goes on another time, from `upto`
    """
    deadline, upto, found = time.monotonic() + seconds, after, []
    try:
        expression = read_expression(rule.expression)
        stream = rule.stream or next(iter(expression.entities), "")
        for then in _values(line, expression, stream, after, line.head, rule.projection):
            upto = then.position
            if (then.value is False) is not broken:
                broken = not broken
                by = _breaker(line, expression, stream, then, rule.projection) if broken else ""
                found.append((then, by))
            if time.monotonic() > deadline:
                return Changes(found, upto)
    except UNSEEN:  # its code, or what it speaks of, is not there: the State page says so
        pass
    return Changes(found, line.head)


def touched(rule: Rule, stirred: set[str] | None) -> bool:
    """Return whether events of these streams (None: of all) may have changed what a rule says."""
    if stirred is None:
        return True
    try:
        entities = read_expression(rule.expression).entities
    except UNSEEN:
        return False
    if rule.stream.endswith("*"):
        return any(name.startswith(rule.stream[:-1]) for name in stirred)
    return not stirred.isdisjoint({rule.stream, *entities})


def _breaker(
    line: Line, expression: Expression, stream: str, then: Stretch, projection: str
) -> str:
    if not stream.endswith("*"):
        return stream
    names = _broken_by(line, expression, stream, then.position, projection)
    return next(iter(names), "")
