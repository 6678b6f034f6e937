"""The first event after which an expression holds, by looking at each or by halving."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from apps.eventlog.envelope import isoformat
from apps.eventlog.places import Line
from apps.eventlog.queries import facts, log
from apps.projections import merge
from apps.projections.errors import BadExpression, UnknownStream
from apps.projections.exact import MISSING
from apps.projections.expression import Expression
from apps.projections.grammar import ExpressionError
from apps.projections.queries import scanning, snapshots
from apps.projections.queries.bycode import scan_code, told_of
from apps.projections.queries.scanning import COSTLY, Moment
from apps.projections.queries.states import (
    FINGERPRINT,
    MERGE,
    exists,
    read,
    state_at,
    stream_number,
)

BUDGET_S = 30.0  # a search stops after this long, and says so
ENTITIES = 20  # entities an expression may name


class Probe(NamedTuple):
    """One step of a bisect: the stretch it is in, where it looked, and what it saw."""

    low: int
    high: int
    position: int
    holds: bool


class Found(NamedTuple):
    """What a search found. `complete` is False when it stopped early, at `scanned_to`."""

    position: int | None
    stream: str
    checked: int
    ms: float
    complete: bool = True
    scanned_to: int = 0
    probes: tuple[Probe, ...] = ()


def read_expression(text: str) -> Expression:
    """Return an expression; BadExpression says what is wrong with it."""
    try:
        found = Expression(text)
    except ExpressionError as error:
        raise BadExpression.of(error) from error
    if len(found.entities) > ENTITIES:
        raise BadExpression(f"An expression names at most {ENTITIES} entities.")
    return found


def fields_of(text: str) -> list[str]:
    """Return the names of the fields an expression speaks of, in order."""
    return re.findall(r"\.([A-Za-z_][A-Za-z0-9_]*)", text)


def find(
    line: Line, stream: str, text: str, *, after: int = 0, upto: int | None = None,
    bisect: bool = False, projection: str = "", tell: scanning.Tell | None = None,
) -> Found:  # fmt: skip
    """Return the first event of a stream in after < position <= upto after which `text` holds.

    stream  "" looks at every stream, "stock-*" at those whose names begin so
    projection  by which code events become states; merged without it
    bisect  assume that once it holds it goes on holding: about log2(n) states are looked at
    tell    called as a scan goes on; False from it stops the scan. BUDGET_S without it
    raises  BadExpression, UnknownStream
    """
    begun = time.perf_counter()
    expression = read_expression(text)
    upto = line.head if upto is None else min(upto, line.head)
    after = max(0, after)
    try:
        if bisect:
            found = _bisect(line, stream, expression, after, upto, projection)
        else:
            tell = tell or _for(begun + BUDGET_S)
            found = _scan(line, stream, expression, after, upto, projection, tell)
    except ExpressionError as error:
        raise BadExpression.of(error) from error
    return found._replace(ms=round((time.perf_counter() - begun) * 1000, 3))


def moments(
    line: Line, stream: str, expression: Expression, *, after: int, upto: int
) -> Iterator[Moment]:
    """Yield what an expression is asked about, after each event of the streams it looks at.

    One stream and the entities the expression names are looked at from the nearest snapshots;
    many streams from the beginning.
    """
    if stream and not stream.endswith("*"):
        yield from _few(line, stream, expression, after, upto)
    else:
        yield from _many(line, stream.removesuffix("*"), expression, after, upto)


def _few(
    line: Line, stream: str, expression: Expression, after: int, upto: int
) -> Iterator[Moment]:
    names = {stream, *expression.entities}
    numbers = {name: stream_number(line, name) for name in names}
    if not exists(line, numbers[stream]):
        raise UnknownStream(line.slug, stream)
    called = {number: name for name, number in numbers.items()}
    more = expression.roots & COSTLY
    states = {name: state_at(line, name, at=after).state if after else MISSING for name in names}
    for fact, lane, data in facts_of(line, list(called), after, upto):
        name = called[fact.stream]
        states[name] = merge.apply(states[name], data)
        asked = {
            "state": states[stream], "stream": stream, "others": states, "position": fact.position,
        }  # fmt: skip
        if more:
            asked |= _asked(expression, fact, lane, data, name)
        yield Moment(fact.position, name, fact.log_time, asked)


def _asked(
    expression: Expression, fact: facts.Fact, lane: Any, data: Any, stream: str
) -> dict[str, Any]:
    """Return what an expression may ask about an event; what it does not ask is not worked out."""
    asked: dict[str, Any] = {}
    if "event" in expression.roots:
        asked["event"] = {
            "type": lane.type, "source": lane.source, "kind": lane.kind, "channel": lane.channel,
            "stream": stream, "position": fact.position,
            "data": MISSING if isinstance(data, merge.Replacement) else data,
        }  # fmt: skip
    if "time" in expression.roots:
        asked["time"] = isoformat(fact.log_time)
    return asked


def _many(
    line: Line, prefix: str, expression: Expression, after: int, upto: int
) -> Iterator[Moment]:
    states: dict[int, Any] = {}
    called: dict[int, str | None] = {}
    others: dict[str, Any] = {}
    more = expression.roots & COSTLY
    for fact, lane, data in facts_of(line, None, 0, upto):
        if fact.stream not in called:
            name = facts.names([fact.stream])[fact.stream][0]
            wanted = name.startswith(prefix) or name in expression.entities
            called[fact.stream] = name if wanted else None
        known = called[fact.stream]
        if known is None:
            continue
        state = states[fact.stream] = merge.apply(states.get(fact.stream, MISSING), data)
        if known in expression.entities:
            others[known] = state
        if fact.position > after and known.startswith(prefix):
            asked = {
                "state": state, "stream": known, "others": others, "position": fact.position,
            }  # fmt: skip
            if more:
                asked |= _asked(expression, fact, lane, data, known)
            yield Moment(fact.position, known, fact.log_time, asked)


def facts_of(
    line: Line, streams: list[int] | None, after: int, upto: int
) -> Iterator[tuple[facts.Fact, Any, Any]]:
    """Yield each event of some streams, or of all, with its lane and what it says to a merge."""
    if streams is None:
        pages = facts.all_streams(line, after=after, upto=upto)
    else:
        pages = facts.of_streams(line, streams, after=after, upto=upto)
    for page in pages:
        lanes = facts.lanes(line, {fact.lane for fact in page})
        bases = snapshots.bases(line, FINGERPRINT, page)
        for fact in page:
            lane = lanes[fact.lane]
            if lane.kind != "event":
                continue
            if fact.data is None and fact.position in bases:
                yield fact, lane, merge.Replacement(bases[fact.position].state)
            else:
                yield fact, lane, read(fact.data, lane.content_type)[0]


def _scan(
    line: Line, stream: str, expression: Expression, after: int, upto: int, projection: str,
    tell: scanning.Tell,
) -> Found:  # fmt: skip
    names = scanning.quick(expression, stream)
    if projection not in ("", MERGE):
        hit = scan_code(line, stream, expression, after, upto, projection, tell)
    elif names is not None:
        hit = scanning.scan_fields(
            line, stream, expression, names, after=after, upto=upto, tell=tell
        )
    else:
        looked = moments(line, stream, expression, after=after, upto=upto)
        hit = scanning.scan_moments(looked, expression, stream, tell)
    return Found(hit.position, hit.stream, hit.checked, 0.0, hit.complete, hit.scanned_to)


def _for(deadline: float) -> scanning.Tell:
    return lambda checked, position: time.perf_counter() < deadline


def _bisect(
    line: Line, stream: str, expression: Expression, after: int, upto: int, projection: str
) -> Found:
    if not stream or stream.endswith("*"):
        raise BadExpression("Bisecting looks at one entity: name its stream, or scan.")
    number = stream_number(line, stream)
    numbers = {stream_number(line, name) for name in expression.entities} | {number}
    places = sorted(
        at
        for each in numbers
        for at, lane in facts.positions(line, each, after=after, upto=upto)
        if facts.lanes(line, [lane])[lane].kind == "event"
    )
    if not places and not exists(line, number):
        raise UnknownStream(line.slug, stream)
    probes: list[Probe] = []
    low, high = 0, len(places)  # the answer is among places[low:high], or there is none
    while low < high:
        middle = (low + high) // 2
        if low == 0 and not probes:
            middle = high - 1  # never true at all is the first thing to know
        holds = _holds_at(line, stream, expression, places[middle], projection)
        probes.append(Probe(places[low], places[high - 1], places[middle], holds))
        if holds:
            high = middle
        else:
            low = middle + 1
    position = places[high] if probes and any(p.holds for p in probes) else None
    who = _stream_at(line, position) if position and len(numbers) > 1 else stream
    return Found(position, who, len(probes), 0.0, probes=tuple(probes))


def _holds_at(
    line: Line, stream: str, expression: Expression, position: int, projection: str
) -> bool:
    state = state_at(line, stream, at=position, projection=projection).state
    names = expression.entities - {stream}
    others = {name: state_at(line, name, at=position).state for name in names}
    event = log.event(line, position)
    assert event is not None, "the log holds every position it named"
    return expression.holds(
        state=state, stream=stream, others=others, position=position, **told_of(event)
    )


def _stream_at(line: Line, position: int) -> str:
    event = log.event(line, position)
    return event.stream if event else ""
