"""From a query to a plan: which positions, which lanes, which index to walk, what is left to ask.

Terms that an index or the rollups answer are settled here; the rest is matched event by event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from apps.eventlog import clock, seen, store
from apps.eventlog.match import handling, is_position, lane_matcher
from apps.eventlog.places import Line, position
from apps.eventlog.queries import log
from apps.eventlog.queries.edges import positions_before
from apps.eventlog.queries.lanes import Strings, lanes
from apps.eventlog.query import parse
from apps.eventlog.terms import Query, Term, bounds
from apps.eventlog.values import service_test

FEW_LANES = 32  # up to so many, their walks are merged; more, and the log is walked
FEW_SOURCES = 32  # up to so many, too; more are asked for together, stretch by stretch
MANY_STREAMS = 2000  # with a prefix; with more, the log is walked
FEW_CAUSES = 20_000  # deliveries whose events are looked up beforehand

Source = tuple[str, int]  # column of an index, value


class Names:
    """The lanes of a system, read once, when they are needed."""

    def __init__(self, system: int) -> None:
        self._system = system

    @cached_property
    def lanes(self) -> dict[int, Strings]:
        """All lanes of the system."""
        return lanes(self._system)


@dataclass(frozen=True)
class Plan:
    """How to find what a query asks for on a line."""

    line: Line
    after: int  # positions after this one
    upto: int  # up to this one
    moment: int  # as of this one: what came later is not known
    as_of: int  # the log_time of the moment, in µs, where the query has times
    lanes: frozenset[int] | None = None  # None: every lane
    names: Names = field(default_factory=lambda: Names(0))
    driver: Literal["log", "lanes", "index"] = "log"  # what is walked
    sources: tuple[Source, ...] = ()  # the values of indexes whose walks are merged
    extra: tuple[int, ...] = ()  # positions beside the sources, in order
    rest: tuple[Term, ...] = ()  # only the events themselves can answer these
    streams: int = 0  # with a prefix that may be sources

    @property
    def known(self) -> dict[int, Strings]:
        """All lanes of the system, read when first asked for."""
        return self.names.lanes

    @property
    def by_lanes(self) -> bool:
        """Whether lanes and positions are all there is to it, so that the rollups can count."""
        return not self.rest and self.driver != "index"

    @property
    def by_index(self) -> bool:
        """Whether every entry of the sources is a match, and there are no others."""
        return self.driver == "index" and self.lanes is None and not (self.rest or self.extra)


def plan(
    line: Line,
    text: str,
    *,
    at: int | None = None,
    after: int | None = None,
    before: int | None = None,
    without: str = "",
    streams: int = 0,
) -> Plan:
    """Return the plan of a query as of position `at`, for after < position < before.

    without  leaves out the terms on this field
    streams  with a prefix, at most, that are walked by their index; MANY_STREAMS where 0
    raises   QueryError
    """
    query = parse(text)
    query = Query(tuple(term for term in query.terms if term.field.name != without or not without))
    moment = line.head if at is None else max(0, min(at, line.head))
    upto = moment if before is None else min(moment, before - 1)
    dated = any(term.field.sort == "moment" for term in query.terms)
    as_of = log.time_at(line, moment) if dated else None
    it = Plan(line, max(after or 0, 0), upto, moment, as_of or 0, names=Names(line.system),
              streams=streams or MANY_STREAMS)  # fmt: skip
    it = _within_lanes(it, [t for t in query.terms if t.field.sort == "name"])
    it = _within_positions(it, [t for t in query.terms if t.field.sort != "name"])
    return _driven(it)


def _within_lanes(it: Plan, terms: list[Term]) -> Plan:
    if not terms:
        return it
    holds = lane_matcher(terms)
    return replace(it, lanes=frozenset(n for n, strings in it.known.items() if holds(strings)))


def _within_positions(it: Plan, terms: Iterable[Term]) -> Plan:
    """Narrow the positions by `at` and `position`; keep the terms that are more than one range."""
    rest = []
    for term in terms:
        ranges = _ranges(it, term)
        if ranges is None:
            rest.append(term)
            continue
        low = max(it.after, min(low for low, _ in ranges) - 1)
        it = replace(it, after=low, upto=min(it.upto, max(high for _, high in ranges)))
        if len(ranges) > 1:
            rest.append(term)
    return replace(it, rest=tuple(rest))


def _ranges(it: Plan, term: Term) -> list[tuple[int, int]] | None:
    """Return the positions a term allows, both ends included; None: it speaks of something else."""
    if term.negated or term.operator == "!=":
        return None
    if term.field.name == "position":
        return [bounds(term.operator, value) for value in term.values]
    if term.field.sort != "moment":
        return None
    windows = [clock.settled(clock.window(term.operator, v), it.as_of) for v in term.values]
    times = [low.at for w in windows if (low := w.low) and not low.is_position]
    times += [high.at + 1 for w in windows if (high := w.high) and not high.is_position]
    before = dict(zip(times, positions_before(it.line, times), strict=True))

    def first(low: clock.Edge | None) -> int:
        return 0 if low is None else low.at if low.is_position else before[low.at] + 1

    def last(high: clock.Edge | None) -> int:
        return it.upto if high is None else high.at if high.is_position else before[high.at + 1]

    return [(first(window.low), last(window.high)) for window in windows]


def _driven(it: Plan) -> Plan:
    """Choose the index to walk: the narrowest kind a term offers, else the lanes, else the log."""
    for drive in (_by_id, _by_correlation, _by_stream, _by_cause, _by_deliveries):
        for term in it.rest:
            if not term.negated and (found := drive(it, term)):
                return found
    if it.lanes is not None and len(it.lanes) <= FEW_LANES:
        sources = tuple(("lane_id", lane) for lane in sorted(it.lanes))
        return replace(it, driver="lanes", sources=sources)
    return it


def _settled(it: Plan, term: Term, sources: Iterable[Source], extra: Iterable[int] = ()) -> Plan:
    inside = tuple(sorted({p for p in extra if it.after < p <= it.upto}))
    rest = tuple(t for t in it.rest if t is not term)
    return replace(it, driver="index", sources=tuple(sources), extra=inside, rest=rest)


def _literals(term: Term, name: str) -> list[str] | None:
    """Return the texts a term asks for by equality, None where it asks for more."""
    texts = [value.literal for value in term.values]
    if term.field.name != name or term.operator not in {":", "="} or None in texts or "" in texts:
        return None
    return [text for text in texts if text]


def _by_id(it: Plan, term: Term) -> Plan | None:
    ids = _literals(term, "id")
    if ids is None:
        return None
    return _settled(it, term, (), _positions_of(it.line, ids))


def _positions_of(line: Line, ids: Iterable[str]) -> list[int]:
    return [event.position for one in set(ids) for event in log.by_id(line, one)]


def _by_correlation(it: Plan, term: Term) -> Plan | None:
    names = _literals(term, "correlation")
    if names is None:
        return None
    ids = store.names_to_ids("correlation", it.line.system, names)
    return _settled(it, term, (("correlation_id", i) for i in ids.values()))


def _by_stream(it: Plan, term: Term) -> Plan | None:
    if names := _literals(term, "stream"):
        ids = store.names_to_ids("stream", it.line.system, names)
        return _settled(it, term, (("stream_id", i) for i in ids.values()))
    if term.field.name != "stream" or term.operator not in {":", "="} or len(term.values) != 1:
        return None
    parts = term.values[0].parts
    if len(parts) != 2 or not parts[0] or parts[1]:
        return None
    found = store.fetch(
        "SELECT id FROM eventlog_stream WHERE system_id = %s AND name >= %s AND name < %s LIMIT %s",
        [it.line.system, parts[0], following(parts[0]), it.streams + 1],
    )
    if len(found) > it.streams:
        return None
    return _settled(it, term, (("stream_id", i) for (i,) in found))


def following(prefix: str) -> str:
    """Return the first text, code point by code point, after all that begin with `prefix`."""
    head, last = prefix[:-1], ord(prefix[-1])
    if last == 0x10FFFF:
        return following(head) if head else prefix + "\U0010ffff" * 1024
    return head + chr(0xE000 if last == 0xD7FF else last + 1)


def _by_cause(it: Plan, term: Term) -> Plan | None:
    """`cause:` positions and ids, and `causation:` ids: effects, and those still waiting."""
    if term.field.name not in {"cause", "causation"} or term.operator not in {":", "="}:
        return None
    ids, causes = [], set()
    for value in term.values:
        if not value.literal:
            return None
        if term.field.name == "causation" or not is_position(value):
            ids.append(value.literal)
            continue
        low, high = bounds(":", value)
        if low != high:
            return None
        causes.add(low)
    causes.update(_positions_of(it.line, ids))
    if len(causes) > FEW_LANES:
        return None
    return _settled(it, term, (("cause", c) for c in sorted(causes)), _waiting(it.line, ids))


def _waiting(line: Line, ids: Iterable[str]) -> list[int]:
    """Return the events that name a cause which is not in the log."""
    found = []
    for one in set(ids):
        digest = seen.signed(seen.id_digest(seen.pack_id(one)))
        for part in line.segments:
            rows = store.fetch(
                "SELECT place, causation FROM eventlog_waiting WHERE timeline = %s AND digest = %s",
                [part.timeline, digest],
            )
            found += [position(key) for key, text in rows if text == one and key <= part.high]
    return found


def _by_deliveries(it: Plan, term: Term) -> Plan | None:
    """`handled-by` of few deliveries: the events they name, looked up beforehand."""
    if term.field.sort != "handled":
        return None
    found: set[int] = set()
    wanted = sorted(delivering(it.known, term))
    forced = " INDEXED BY eventlog_event_lane" if store.sqlite() else ""
    for part in it.line.within(0, it.moment):
        for clause, values in store.among(wanted):
            rows = store.fetch(
                f"SELECT cause FROM eventlog_event{forced} WHERE lane_id {clause} AND place > %s"
                " AND place <= %s AND cause <= %s LIMIT %s",
                [*values, part.low, part.high, part.upto, FEW_CAUSES + 1],
            )
            found.update(cause for (cause,) in rows)
            if len(found) > FEW_CAUSES:
                return None
    return _settled(it, term, (), found)


def delivering(known: dict[int, Strings], term: Term) -> set[int]:
    """Return the lanes of the deliveries a handled-by term asks for."""
    asked = [handling(value) for value in term.values]
    return {
        lane
        for lane, strings in known.items()
        if strings.kind == "delivery"
        and any(
            outcome in {"", strings.type} and service_test(":", (subscriber,))(strings.source)
            for subscriber, outcome in asked
        )
    }
