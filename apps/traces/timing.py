"""When each step of a trace waited and worked, on clocks that may disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from apps.eventlog.outline import Outline
from apps.traces.deliveries import Delivery, moment, service
from apps.traces.tree import Tree

ERROR = 2  # the status of a span that failed
ROUNDS = 4  # passes over the edges; clocks that disagree in circles are left as they are


class Step(NamedTuple):
    """One event in time, by the clock of the root's service. Times are microseconds.

    begun     when its cause was published; its own time for a root
    received  when its service took the cause in hand, None where nobody said
    """

    position: int
    begun: int
    received: int | None
    published: int
    delivery: Delivery | None

    @property
    def gap(self) -> int:
        """From the cause to the event."""
        return self.published - self.begun

    @property
    def waited(self) -> int | None:
        """From the cause's publication to its receipt."""
        return None if self.received is None else self.received - self.begun

    @property
    def handled(self) -> int | None:
        """From the receipt to the event's publication."""
        return None if self.received is None else self.published - self.received


class Told(NamedTuple):
    """What a span says of itself. Times are microseconds."""

    start: int
    end: int
    error: str


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Span(msgspec.Struct):
    start: str = ""
    end: str = ""
    status: _Status | None = None


_decode = msgspec.json.Decoder(_Span).decode


def of_span(span: Outline) -> Told:
    """Return when a span began and ended, and why it failed, "" where it did not."""
    try:
        told = _decode(span.data or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = _Span()
    start, end = moment(told.start), moment(told.end)
    start = span.time if start is None else start
    failed = told.status is not None and told.status.code == ERROR
    error = (told.status.message or "error") if failed and told.status else ""
    return Told(start, start if end is None else end, error)


def skews(tree: Tree, delivered: Mapping[int, Sequence[Delivery]]) -> dict[str, int]:
    """Return by how much services' clocks must be behind, at least, in microseconds.

    An effect cannot precede its cause, nor a receipt the publication: the least shift of each
    service's clock that makes it so. Services whose times agree are left out.
    """
    behind: dict[str, int] = {}
    pairs: list[tuple[str, int, str, int]] = []
    for cause, effect in tree.edges:
        a, b = tree.events[cause], tree.events[effect]
        if service(a.source) != service(b.source):
            pairs.append((service(a.source), a.time, service(b.source), b.time))
    for position, deliveries in delivered.items():
        event = tree.events[position]
        for d in deliveries:
            if d.started is not None and service(d.subscriber) != service(event.source):
                pairs.append((service(event.source), event.time, service(d.subscriber), d.started))
    for _ in range(ROUNDS):
        changed = False
        for one, before, other, after in pairs:
            lack = before + behind.get(one, 0) - after - behind.get(other, 0)
            if lack > 0:
                behind[other] = behind.get(other, 0) + lack
                changed = True
        if not changed:
            return behind
    return behind


def step(
    tree: Tree,
    position: int,
    delivered: Mapping[int, Sequence[Delivery]],
    behind: Mapping[str, int],
) -> Step:
    """Return one event in time; `behind` corrects the clocks."""
    event = tree.events[position]
    ahead = behind.get(service(event.source), 0)
    published = event.time + ahead
    cause = tree.parent.get(position)
    if cause is None:
        return Step(position, published, None, published, None)
    begun = moved(tree.events[cause], behind)
    found = cause_of(event, delivered.get(cause, ()))
    received = None
    if found is not None and found.started is not None:
        received = max(begun, found.started + ahead)
        received = received if received <= published else None
    return Step(position, begun, received, published, found)


def moved(event: Outline, behind: Mapping[str, int]) -> int:
    """Return an event's time by the corrected clock."""
    return event.time + behind.get(service(event.source), 0)


def cause_of(event: Outline, deliveries: Sequence[Delivery]) -> Delivery | None:
    """Return the delivery during which a service published an event: the last one begun before."""
    name, best = service(event.source), None
    for d in deliveries:
        if service(d.subscriber) != name or d.started is None:
            continue
        if d.started <= event.time and (best is None or d.started >= (best.started or 0)):
            best = d
    return best


def critical_path(tree: Tree, behind: Mapping[str, int] | None = None) -> list[int]:
    """Return the way from a root to the event published last; of a tie, the later in the log.

    Answers of outside services are no steps of their own.
    """
    behind = behind or {}
    events = [e for e in tree.events.values() if e.kind != "response"]
    if not events:
        return []
    last = max(events, key=lambda e: (moved(e, behind), e.position))
    return tree.ancestors(last.position)[::-1]


def span(
    tree: Tree, delivered: Mapping[int, Sequence[Delivery]], behind: Mapping[str, int]
) -> tuple[int, int]:
    """Return when a trace began and when the last thing known of it ended, (0, 0) when empty."""
    times = [moved(e, behind) for e in tree.events.values()]
    for deliveries in delivered.values():
        for d in deliveries:
            if d.is_known and d.latest is not None:
                times.append(d.latest + behind.get(service(d.subscriber), 0))
    return (min(times), max(times)) if times else (0, 0)
