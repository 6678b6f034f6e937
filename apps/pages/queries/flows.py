"""Stuck flows as the Subscribers page shows them: where each one stopped, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from apps.audits.queries import flows as rules
from apps.audits.stuck import written
from apps.eventlog.places import Line
from apps.eventlog.queries.reports import Report, reports
from apps.pages import words
from apps.pages.queries.services import Cast
from apps.pages.tiles import Tile
from apps.traces.deliveries import service

LONG = 2  # times what a rule allows, from which on waiting is shown as a failure
TOLD = 3  # subscribers that are named
DOES = {
    "received": "received it, no reaction", "handled": "handled it, nothing more came of it",
    "skipped": "skipped it as a duplicate", "dead_lettered": "gave it up",
}  # fmt: skip


class Rule(NamedTuple):
    """One rule in the list."""

    flow: Any
    broken: int
    least: bool  # whether older ones were not looked at
    within: str
    by: str


class Waiting(NamedTuple):
    """One flow that did not end."""

    name: str
    position: int  # of its beginning
    started: int
    waiting: str
    look: str
    last: int
    tile: Tile
    last_type: str
    where: str


def watched(line: Line, *, at: int, now: int, since: int) -> list[Rule]:
    """Return all rules of a system with how many flows break each."""
    found = []
    for flow in rules.flows(line):
        seen = rules.watched(line, flow, at=at, now=now, since=since)
        found.append(Rule(flow, seen.stuck, seen.more, written(flow.within), flow.by))
    return found


def waiting(line: Line, flow: Any, known: Cast, *, at: int, now: int, since: int) -> list[Waiting]:
    """Return the flows that break a rule, newest first, with where each one stopped."""
    found = rules.stuck(line, flow, at=at, now=now, since=since)
    told = reports(line, {each.last for each in found}).by_event
    rows = []
    for each in found:
        passed = now - each.begun.log_time
        rows.append(Waiting(
            each.name, each.begun.position, each.begun.log_time, words.duration(passed),
            "fail" if passed > LONG * flow.within else "warn", each.last,
            known.of_type(each.last_type), each.last_type,
            where(r for r in told.get(each.last, ()) if r.position <= at),
        ))  # fmt: skip
    return rows


def where(told: Iterable[Report]) -> str:
    """Return what became of the last event of a flow, in words."""
    newest: dict[str, str] = {}
    failures: Counter[str] = Counter()
    for each in told:
        name = service(each.subscriber)
        newest[name] = each.outcome
        failures[name] += each.outcome == "failed"
    if not newest:
        return "nobody is known to be told of it"
    said = [f"{name} {_does(newest[name], failures[name])}" for name in list(newest)[:TOLD]]
    more = len(newest) - len(said)
    return "; ".join(said) + (f"; {more} more" if more else "")


def _does(outcome: str, failures: int) -> str:
    if outcome == "failed":
        return "failed" if failures == 1 else f"failed {failures} times"
    return DOES.get(outcome, outcome)
