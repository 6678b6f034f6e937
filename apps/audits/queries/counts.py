"""What findings are made of, step by step: events of each type, and how subscribers do."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from apps.audits.levels import Sum
from apps.audits.unusual import PAST, SPARED, STEP_S, Usual, usual
from apps.eventlog.envelope import FAILURES
from apps.eventlog.places import Line
from apps.eventlog.queries import log, ticks
from apps.eventlog.queries.lanes import Strings, lanes
from apps.eventlog.queries.levels import levels

SPAN = STEP_S * 1_000_000  # µs
HOUR = 3600 // STEP_S  # steps
DAYS = 14  # days whose same hour tells what is usual
MOST = 400  # subjects judged; more are too many to look at one by one


SETTLED = ("handled", "skipped", "dead_lettered")


class Subject(NamedTuple):
    """What is looked at: a type's events, or a subscriber's failures, answers or levels."""

    code: str  # rate, failures, answers; latency, wait, lag
    name: str


def subject(lane: Strings) -> Subject | None:
    """Return what an event of a lane counts for, None for nothing."""
    if lane.kind in ("event", "command"):
        return Subject("rate", lane.type)
    if lane.kind != "delivery":
        return None
    name = lane.source.removeprefix("/") or lane.source
    if lane.type in FAILURES:
        return Subject("failures", name)
    return Subject("answers", name) if lane.type in SETTLED else None


def counted(line: Line, first: int, last: int) -> dict[Subject, list[int]]:
    """Return how many there were of each subject in each of the steps first … last."""
    found = ticks.spans(line, first, last, span=SPAN)
    of = {n: subject(lane) for n, lane in lanes(line.system).items()}
    counts: dict[Subject, list[int]] = {}
    for at in range(first, last + 1):
        for lane, count in found[at].items():
            who = of.get(lane)
            if who is not None and (who in counts or len(counts) < MOST):
                counts.setdefault(who, [0] * (last - first + 1))[at - first] += count
    return counts


def measured(line: Line, first: int, last: int) -> dict[Subject, list[Sum]]:
    """Return the levels of each subscriber in each of the steps first … last."""
    found: dict[Subject, list[Sum]] = {}
    for at, of in levels(line, first, last, span=SPAN).items():
        for what, level in of.items():
            who = Subject(what.code, what.subscriber)
            if what.channel:
                who = Subject(what.code, f"{what.subscriber} on {what.channel}")
            if who in found or len(found) < MOST:
                found.setdefault(who, [(0, 0.0)] * (last - first + 1))[at - first] = level
    return found


def same_hour(line: Line, step: int) -> dict[Subject, list[float]]:
    """Return each subject's events in this hour of the days before, for those with three or more.

    Days before the first event do not count; the hour of a day without the subject is a zero.
    """
    hour = step // HOUR
    found = ticks.hours(line, [hour - 24 * n for n in range(1, DAYS + 1)])
    if len(found) < 3:
        return {}
    of = {n: subject(lane) for n, lane in lanes(line.system).items()}
    sums: defaultdict[Subject, list[float]] = defaultdict(lambda: [0.0] * len(found))
    for day, counts in enumerate(found.values()):
        for lane, count in counts.items():
            if (who := of.get(lane)) is not None:
                sums[who][day] += count
    return dict(sums)


def usual_rates(line: Line, log_time: int) -> dict[str, Usual]:
    """Return what is usual at a moment for each type that was there in the half hour before."""
    last = log_time // SPAN - SPARED
    counts, hours = counted(line, last - PAST, last), same_hour(line, last)
    first = _first_step(line)
    found = {}
    for who, steps in counts.items():
        if who.code == "rate":
            past = steps[max(0, first - (last - PAST)) :]
            known = usual(past, hours=hours.get(who, ()))
            if known is not None:
                found[who.name] = known
    return found


def _first_step(line: Line) -> int:
    return (log.time_at(line, 1) or 0) // SPAN
