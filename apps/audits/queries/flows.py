"""Flows that began and did not end in time, as of a moment."""

from __future__ import annotations

from typing import Any, NamedTuple

from apps.audits.models import Flow
from apps.audits.stuck import written
from apps.eventlog.envelope import isoformat
from apps.eventlog.places import Line
from apps.eventlog.queries import flows as log_flows
from apps.eventlog.queries.flows import Begun
from apps.eventlog.queries.lanes import Strings, lanes
from apps.eventlog.queries.log import position_at, time_at
from apps.eventlog.queries.outlines import correlation_names, stream_names

LOOKED_AT = 2000  # newest beginnings whose time is over
SHOWN = 50
RULES = 50


class Stuck(NamedTuple):
    """Something that began and did not end."""

    begun: Begun
    name: str  # of its correlation or stream
    last: int  # position of its newest event
    last_type: str


class Watched(NamedTuple):
    """A rule with what breaks it."""

    flow: Flow
    stuck: int
    looked_at: int  # beginnings whose time is over, the newest
    more: bool  # whether there are older ones


def flows(line: Line) -> list[Flow]:
    """Return a system's rules of flows, oldest first."""
    return list(Flow.objects.filter(system=line.system).order_by("pk")[:RULES])


def watched(line: Line, flow: Flow, *, at: int, now: int, since: int = 0) -> Watched:
    """Return how many flows break a rule at a position, whose moment is `now`, µs of the log.

    cost  one walk of an index for the beginnings, at most 2000, one for what came after each
    """
    overdue, open_ = _open(line, flow, at=at, now=now, since=since)
    return Watched(flow, len(open_), len(overdue), len(overdue) >= LOOKED_AT)


def stuck(line: Line, flow: Flow, *, at: int, now: int, since: int = 0) -> list[Stuck]:
    """Return what breaks a rule, that which waits longest last, at most 50."""
    open_ = _open(line, flow, at=at, now=now, since=since)[1][:SHOWN]
    known = lanes(line.system)
    events = _of_kind(known)
    by = _by(flow)
    last = log_flows.last(line, {b.key for b in open_}, by, events, upto=at)
    named = (correlation_names if by == "correlation" else stream_names)({b.key for b in open_})
    found = []
    for each in open_:
        newest, lane = last[each.key]
        found.append(Stuck(each, named.get(each.key, ""), newest, known[lane].type))
    return found


def jsonable(line: Line, *, at: int, since: int = 0) -> dict[str, Any]:
    """Return all rules with what breaks each, as programs read them."""
    span = {"at": at, "now": time_at(line, at) or 0, "since": since}
    return {"at": at, "flows": [_jsonable(line, flow, span) for flow in flows(line)]}


def _jsonable(line: Line, flow: Flow, span: dict[str, int]) -> dict[str, Any]:
    seen = watched(line, flow, **span)
    return {
        "id": flow.pk, "begins": flow.begins, "ends": flow.ends, "within": written(flow.within),
        "by": flow.by, "stuck": seen.stuck, "looked_at": seen.looked_at,
        "flows": [
            {"name": s.name, "position": s.begun.position, "time": isoformat(s.begun.log_time),
             "last": {"position": s.last, "type": s.last_type}}
            for s in stuck(line, flow, **span)
        ],
    }  # fmt: skip


def _by(flow: Flow) -> log_flows.By:
    return "stream" if flow.by == "stream" else "correlation"


def _of_kind(known: dict[int, Strings]) -> set[int]:
    return {n for n, strings in known.items() if strings.kind == "event"}


def _open(
    line: Line, flow: Flow, *, at: int, now: int, since: int
) -> tuple[list[Begun], list[Begun]]:
    """Return (beginnings whose time is over, those of them that did not end), newest first."""
    due = min(at, position_at(line, now - flow.within - 1))
    known = lanes(line.system)
    events = _of_kind(known)
    first = {n for n in events if known[n].type == flow.begins}
    ends = {n for n in events if known[n].type in flow.ends}
    overdue = log_flows.begun(line, first, _by(flow), after=since, upto=due, most=LOOKED_AT)
    ended = log_flows.last(line, {b.key for b in overdue}, _by(flow), ends, upto=at)
    return overdue, [b for b in overdue if ended.get(b.key, (0, 0))[0] < b.position]
