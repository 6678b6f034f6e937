"""What became of an event at each subscriber, with the evidence for it; unknown is an answer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from apps.eventlog.envelope import EPOCH, EVIDENCE
from apps.eventlog.outline import Outline
from apps.traces.tree import Tree

REPORTED, INFERRED, NONE = "reported", "inferred", "none"
SPAN = "span"
BUS = frozenset({"acked", "offset"})  # what the bus knows, whatever the subscriber says
UNKNOWN = "unknown"  # the outcome nobody knows
ERROR_MAX = 2000  # characters


class Delivery(NamedTuple):
    """One attempt to hand an event to a subscriber. Times are microseconds, None when not known.

    outcome   received, handled, failed, dead_lettered, skipped, or unknown
    evidence  reported, inferred (from an effect), none, or one of EVIDENCE
    earliest, latest  between which the outcome came about
    """

    event: int
    subscriber: str
    attempt: int
    outcome: str
    evidence: str
    position: int | None  # of the last report
    earliest: int | None
    latest: int | None
    started: int | None = None
    finished: int | None = None
    error: str = ""
    group: str = ""  # of consumers, where a service listens in several

    @property
    def is_known(self) -> bool:
        """Whether somebody told of it: its subscriber, a span or the bus."""
        return self.evidence != INFERRED and self.evidence != NONE

    @property
    def took(self) -> int | None:
        """How long it was in hand, µs."""
        if self.started is None or self.finished is None:
            return None
        return self.finished - self.started


class _Report(msgspec.Struct, gc=False):
    attempt: int = 1
    started_at: datetime | None = None
    finished_at: datetime | None = None
    earliest: datetime | None = None
    error: str | None = None
    evidence: str = ""
    group: str = ""


class _Odd(msgspec.Struct, gc=False):
    attempt: int = 1
    started_at: str | None = None
    finished_at: str | None = None
    earliest: str | None = None
    error: str | None = None
    evidence: str = ""
    group: str = ""


_usual = msgspec.json.Decoder(_Report).decode
_odd = msgspec.json.Decoder(_Odd).decode


def _decode(data: bytes) -> _Report | _Odd:
    try:
        return _usual(data)
    except msgspec.ValidationError:
        return _odd(data)  # a time that is none


def service(name: str) -> str:
    """Return the name services are told apart by: `/payments` publishes, `payments` subscribes."""
    return name.removeprefix("/") or name


def reported(event: int, reports: Iterable[Outline]) -> list[Delivery]:
    """Return the deliveries that `reports` of one event tell of, in order of their last report.

    "received" and what came of it are one delivery, and so are the failure and the dead letter of
    one attempt, and a span and the acknowledgement that followed. Two reports that an attempt was
    handled are two deliveries.
    """
    made: list[Delivery] = []
    open_at: dict[tuple[str, int, str], int] = {}
    settled: set[int] = set()  # known to both the bus and the subscriber
    for report in reports:
        new = _one(event, report)
        key = (service(new.subscriber), new.attempt, new.group)
        index = open_at.get(key)
        if index is not None and _goes_on(made[index], new):
            made[index] = _joined(made[index], new)
        elif index is not None and index not in settled and _is_settled(made[index], new):
            made[index] = _both(made[index], new)
            settled.add(index)
        else:
            open_at[key] = len(made)
            made.append(new)
    return sorted(made, key=lambda d: d.position or 0)


def _one(event: int, report: Outline) -> Delivery:
    told: _Report | _Odd
    try:
        told = _decode(report.data or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = _Report()
    started, finished = moment(told.started_at), moment(told.finished_at)
    latest = finished if finished is not None else report.time
    earliest = next(t for t in (moment(told.earliest), started, latest) if t is not None)
    return Delivery(
        event, report.source, told.attempt, report.type,
        told.evidence if told.evidence in EVIDENCE else REPORTED, report.position,
        earliest, latest, started, finished,
        (told.error or "")[:ERROR_MAX], told.group[:ERROR_MAX],
    )  # fmt: skip


def moment(told: datetime | str | None) -> int | None:
    """Return a time with its zone as microseconds, None for anything else."""
    if not told:
        return None
    try:
        at = told if isinstance(told, datetime) else datetime.fromisoformat(told)
        if at.tzinfo is None:
            return None
        since = at - EPOCH
    except (ValueError, OverflowError):
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _goes_on(before: Delivery, now: Delivery) -> bool:
    if before.outcome == "received" or (before.outcome, now.outcome) == ("failed", "dead_lettered"):
        return True
    return _late(before, now)


def _is_settled(one: Delivery, other: Delivery) -> bool:
    """Return whether the bus tells of one attempt and the subscriber, or its span, of the same."""
    return (one.evidence in BUS) != (other.evidence in BUS)


def _both(one: Delivery, other: Delivery) -> Delivery:
    """Return an attempt both told of: the subscriber knows when, the bus how it ended."""
    bus, own = (one, other) if one.evidence in BUS else (other, one)
    outcome = own.outcome if bus.outcome in ("handled", "received") else bus.outcome
    return own._replace(
        outcome=outcome, evidence=bus.evidence, error=own.error or bus.error,
        position=max(one.position or 0, other.position or 0),
    )  # fmt: skip


def _late(before: Delivery, now: Delivery) -> bool:
    """Return whether `now` tells of the receipt of what was handled: spans come in any order."""
    return (
        now.outcome == "received" and now.evidence == before.evidence == SPAN
        and (now.started or 0) <= (before.started or 0)
    )  # fmt: skip


def _joined(before: Delivery, now: Delivery) -> Delivery:
    if _late(before, now) and before.outcome != "received":
        earliest = min(t for t in (before.earliest, now.earliest) if t is not None)
        return before._replace(earliest=earliest)
    started = before.started if before.started is not None else now.started
    if before.evidence == now.evidence == SPAN:
        started = now.started  # a span of receiving ends before the handling begins
    if before.outcome == "received" and started is None:
        started = before.latest
    earliest = min(t for t in (before.earliest, now.earliest, now.latest) if t is not None)
    return now._replace(
        started=started, earliest=earliest, error=now.error or before.error,
        finished=now.finished if now.finished is not None else before.finished,
    )  # fmt: skip


def inferred(
    event: Outline, effects: Iterable[Outline], known: Iterable[Delivery]
) -> list[Delivery]:
    """Return the deliveries that only effects betray: who reacts to an event has received it."""
    told = {service(d.subscriber) for d in known}
    made: dict[str, Delivery] = {}
    for effect in effects:
        name = service(effect.source)
        if name in told or not name or name in made or effect.kind == "response":
            continue
        made[name] = Delivery(
            event.position, name, 1, "handled", INFERRED, None, event.time,
            max(effect.time, event.time),
        )  # fmt: skip
    return list(made.values())


def unknown(event: Outline, expected: Iterable[str], known: Iterable[Delivery]) -> list[Delivery]:
    """Return a delivery without outcome for each usual subscriber nothing is known of."""
    told = {service(d.subscriber) for d in known}
    return [
        Delivery(event.position, name, 1, UNKNOWN, NONE, None, event.time, None)
        for name in expected
        if service(name) not in told
    ]


def of_tree(tree: Tree) -> dict[int, list[Delivery]]:
    """Return what is known of each event's deliveries, reported or betrayed by an effect."""
    found: dict[int, list[Delivery]] = {}
    events = tree.events
    for position, reports in tree.reports.items():
        found[position] = reported(position, reports)
    for position, children in tree.children.items():
        known = found.get(position, [])
        if any(d.outcome == "received" and d.evidence == SPAN for d in known):
            known = found[position] = [_handled(d, tree, children) for d in known]
        told = {d.subscriber for d in known}
        if all(events[c].source.removeprefix("/") in told for c in children):
            continue
        if more := inferred(events[position], (events[c] for c in children), known):
            found[position] = known + more
    return found


def _handled(d: Delivery, tree: Tree, children: Iterable[int]) -> Delivery:
    """Return a delivery that a span saw received as handled, if something was published then.

    pika's instrumentation, for one, calls it receiving when it runs the handler.
    """
    if d.outcome != "received" or d.evidence != SPAN or d.started is None:
        return d
    name = service(d.subscriber)
    theirs = (tree.events[c] for c in children if service(tree.events[c].source) == name)
    return d._replace(outcome="handled") if any(e.time >= d.started for e in theirs) else d
