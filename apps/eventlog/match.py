"""Does a query hold for an event? In plain Python, for whatever no index answers.

What is not there makes a comparison false, and so its negation true. Free text is looked for in
all names and ids, the metadata and the data, without regard to case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import attrgetter
from typing import Any, Protocol

from apps.eventlog import clock
from apps.eventlog.envelope import OUTCOMES, Recorded
from apps.eventlog.errors import QueryError
from apps.eventlog.terms import INTEGER, NUMBER, Query, Term, Value, bounds, number
from apps.eventlog.values import (
    COMPARE,
    MISSING,
    Finder,
    at_path,
    decode,
    follow,
    holds_text,
    json_test,
    ordered,
    service_test,
    text_test,
)

Handled = Callable[[int, Term], bool]  # (position, a handled-by term) -> there is such a delivery


class Named(Protocol):
    """What lane terms look at: an event, or a lane."""

    @property
    def kind(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def tap(self) -> str: ...
    @property
    def content_type(self) -> str: ...


NAMES = {"datacontenttype": "content_type", "outcome": "type", "subscriber": "source"}
DELIVERIES = frozenset({"outcome", "subscriber"})  # fields only deliveries have
ANYWHERE = ("id", "type", "source", "stream", "correlation", "channel", "key")
LANE = frozenset({"kind", "type", "source", "channel", "tap", "content_type"})


def matcher(
    query: Query, *, as_of: int | None = None, handled: Handled | None = None
) -> Callable[[Recorded | Glimpse], bool]:
    """Return a function that says whether a query holds for an event.

    as_of    what times of day are counted back from, in µs; now where None
    handled  answers `handled-by`, which one event cannot
    raises   QueryError for `handled-by` without `handled`
    """
    as_of = time.time_ns() // 1000 if as_of is None else as_of
    tests = [_test(term, as_of, handled) for term in sorted(query.terms, key=_cost)]

    def holds(event: Recorded | Glimpse) -> bool:
        subject = Subject(event)
        for test in tests:  # noqa: SIM110 - `all()` makes a generator for each of many events
            if not test(subject):
                return False
        return True

    return holds


def lane_matcher(terms: Iterable[Term]) -> Callable[[Named], bool]:
    """Return a function that says whether terms over names (sort "name") hold for a lane."""
    tests = [_name_test(term) for term in terms]
    return lambda lane: all(test(lane) for test in tests)


class Glimpse:
    """The part of an event that a query looks at; the names are those of `Recorded`."""

    __slots__ = (
        "causation", "cause", "channel", "content_type", "correlation", "data", "id", "key", "kind",
        "log_time", "metadata", "offset", "partition", "position", "revision", "seen", "source",
        "stream", "tap", "type",
    )  # fmt: skip
    position: int
    log_time: int
    cause: int | None
    causation: str
    data: bytes | None
    metadata: bytes

    def __init__(self, lane: Named) -> None:
        self.kind, self.type, self.source = lane.kind, lane.type, lane.source
        self.channel, self.tap, self.content_type = lane.channel, lane.tap, lane.content_type


def needs(terms: Iterable[Term]) -> frozenset[str]:
    """Return which attributes of an event the terms look at, those of its lane left out."""
    found: set[str] = set()
    for term in terms:
        if term.field.sort == "any":
            found |= {*ANYWHERE, "data", "metadata"}
        elif term.field.sort == "cause":
            found |= {"cause", "causation"}
        elif term.field.sort == "moment":
            found |= {"position", "log_time"}
        elif term.field.sort == "handled":
            found.add("position")
        else:
            found.add(term.field.name)
    return frozenset(found - LANE - NAMES.keys())


class Subject:
    """One event under test; its data and metadata are parsed once, when first asked for."""

    __slots__ = ("_data", "_metadata", "event")

    def __init__(self, event: Recorded | Glimpse) -> None:
        self.event = event
        self._data: Any = None
        self._metadata: Any = None

    @property
    def data(self) -> Any:
        """The data as a JSON value, as text where it is not JSON, MISSING where it is forgotten."""
        if self._data is None:
            self._data = (decode(self.event.data, self.event.content_type),)
        return self._data[0]

    @property
    def metadata(self) -> Any:
        """The headers and extension attributes."""
        if self._metadata is None:
            self._metadata = (decode(self.event.metadata or b"{}", "application/json"),)
        return self._metadata[0]


def _cost(term: Term) -> int:
    return {"json": 1, "any": 2, "handled": 3}.get(term.field.sort, 0)


Test = Callable[[Subject], bool]


def _test(term: Term, as_of: int, handled: Handled | None) -> Test:
    make = {"name": _of_name, "text": _of_text, "digits": _of_digits, "number": _of_number,
            "cause": _of_cause, "json": _of_json, "any": _of_any}  # fmt: skip
    if term.field.sort == "moment":
        test = _of_moment(term, as_of)
    elif term.field.sort == "handled":
        test = _of_handled(term, handled)
    else:
        test = make[term.field.sort](term)
    return (lambda subject: not test(subject)) if term.negated else test


def _of_name(term: Term) -> Test:
    test = _name_test(term, negated=False)
    return lambda subject: test(subject.event)


def _name_test(term: Term, *, negated: bool | None = None) -> Callable[[Named], bool]:
    attribute = NAMES.get(term.field.name, term.field.name)
    test_of = service_test if attribute == "source" else text_test
    holds = test_of(term.operator, term.values)
    delivered = term.field.name in DELIVERIES
    negated = term.negated if negated is None else negated

    def test(lane: Named) -> bool:
        found = (not delivered or lane.kind == "delivery") and holds(getattr(lane, attribute))
        return found is not negated

    return test


def _of_text(term: Term) -> Test:
    attribute, holds = term.field.name, text_test(term.operator, term.values)
    return lambda subject: holds(getattr(subject.event, attribute))


def _of_digits(term: Term) -> Test:
    if term.operator not in COMPARE:
        return _of_text(term)
    attribute, compare = term.field.name, COMPARE[term.operator]
    right = term.values[0].scalar()

    def test(subject: Subject) -> bool:
        text = getattr(subject.event, attribute)
        return ordered(number(text) if NUMBER.match(text) else text, right, compare)

    return test


def _of_number(term: Term) -> Test:
    attribute = term.field.name
    ranges = [bounds(term.operator, value) for value in term.values]

    def among(found: int) -> bool:
        return any(low <= found <= high for low, high in ranges)

    def test(subject: Subject) -> bool:
        found = getattr(subject.event, attribute)
        return found is not None and among(found) is not (term.operator == "!=")

    return test


def _of_cause(term: Term) -> Test:
    """`cause:` takes positions and ids; a whole number is a position."""
    numbers = tuple(v for v in term.values if is_position(v))
    ids = tuple(v for v in term.values if not is_position(v))
    ranges = [bounds(term.operator, value) for value in numbers]
    by_id = text_test(":", ids)
    unequal = term.operator == "!="

    def test(subject: Subject) -> bool:
        cause, causation = subject.event.cause, subject.event.causation
        if cause is None and not causation:
            return False
        found = cause is not None and any(low <= cause <= high for low, high in ranges)
        return (found or (bool(causation) and by_id(causation))) is not unequal

    return test


def is_position(value: Value) -> bool:
    """Return whether a value of `cause` means positions rather than an id."""
    if not value.bare or value.literal is None:
        return False
    first, dots, last = value.literal.partition("..")
    return all(INTEGER.match(p) for p in (first, last) if p) and bool(first or (dots and last))


def _of_moment(term: Term, as_of: int) -> Test:
    windows = [clock.settled(clock.window(term.operator, v), as_of) for v in term.values]
    return lambda s: any(w.holds(s.event.position, s.event.log_time) for w in windows)


def handling(value: Value) -> tuple[Value, str]:
    """Return subscriber and outcome of a handled-by value; "" is any outcome.

    `email/failed` has both, `email` and `email/*` only a subscriber, as has `/web/email`: what
    follows the last slash must be an outcome.
    """
    *parts, last = value.parts
    if parts and not last and parts[-1].endswith("/"):
        return replace(value, parts=(*parts[:-1], parts[-1][:-1])), ""
    subscriber, slash, outcome = last.rpartition("/")
    if slash and outcome in OUTCOMES:
        return replace(value, parts=(*parts, subscriber)), outcome
    return value, ""


def _of_handled(term: Term, handled: Handled | None) -> Test:
    if handled is None:
        raise QueryError(
            "handled-by looks at deliveries that come after an event, so it cannot filter events "
            "as they arrive. Search with it, or follow kind:delivery subscriber:…",
            column=term.column, length=term.length,
        )  # fmt: skip
    return lambda subject: handled(subject.event.position, term)


def _of_json(term: Term) -> Test:
    holds = json_test(term.operator, term.values)
    inside, path = term.field.name, term.path

    def one(subject: Subject) -> bool:
        found = follow(subject.data if inside == "data" else subject.metadata, path)
        return found is not MISSING and holds(found)

    def several(subject: Subject) -> bool:
        root = subject.data if inside == "data" else subject.metadata
        return any(holds(found) for found in at_path(root, path))

    return several if None in path else one


def _of_any(term: Term) -> Test:
    finders = [Finder(value) for value in term.values]
    return lambda subject: any(_anywhere(subject, finder) for finder in finders)


def _anywhere(subject: Subject, finder: Finder) -> bool:
    event = subject.event
    for raw, inside in ((event.data, "data"), (event.metadata, "metadata")):
        found = finder.in_bytes(raw) if raw else False
        if found or (found is None and holds_text(getattr(subject, inside), finder.value)):
            return True
    return finder.in_texts(_names(event))


_names = attrgetter(*ANYWHERE)
