"""Counters read as rates: what a page about the flow of a system shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from apps.live.counters import SECOND, WINDOW, Counters, Route, Second

RECENT = 10  # s over which rates are taken


class Publishing(NamedTuple):
    """A service puts events of a type on a channel."""

    service: str
    channel: str
    type: str
    rate: float  # per second
    many: int = 0  # in the longer time that `Seen` tells of
    rank: int = 0  # place in the order of first appearance


class Telling(NamedTuple):
    """A subscriber is told what is on a channel."""

    channel: str
    subscriber: str
    rate: float
    failed: int  # in the last minute
    behind: int
    p99: int | None  # of handling, µs


class Seen(NamedTuple):
    """Who took part in a longer time before a moment: whoever rests for a while keeps a place."""

    events: Mapping[int, int]  # by lane
    routes: Collection[Route]


NOBODY = Seen({}, ())


class Flow(NamedTuple):
    """The minute before a moment."""

    time: int  # µs
    rate: float  # events a second, of all kinds
    failed: int  # deliveries, in the last minute
    publishing: list[Publishing]
    telling: list[Telling]

    def services(self) -> list[str]:
        """Return who takes part, by name."""
        names = {p.service for p in self.publishing} | {t.subscriber for t in self.telling}
        return sorted(names)

    def of(self, service: str) -> Flow:
        """Return what a service has part in: what it says and to whom, what it hears and from whom.

        Rates and failures of the whole stay.
        """
        says = {p.channel for p in self.publishing if p.service == service}
        hears = {t.channel for t in self.telling if t.subscriber == service}
        return self._replace(
            publishing=[p for p in self.publishing if p.service == service or p.channel in hears],
            telling=[t for t in self.telling if t.subscriber == service or t.channel in says],
        )

    def channels(self) -> Counter[str]:
        """Return the channels with their rates."""
        rates: Counter[str] = Counter()
        for each in self.publishing:
            rates[each.channel] += each.rate  # type: ignore[assignment]
        return rates

    def types(self) -> dict[str, float]:
        """Return the rate of each type."""
        rates: defaultdict[str, float] = defaultdict(float)
        for each in self.publishing:
            rates[each.type] += each.rate
        return dict(rates)


def flow(counters: Counters, *, now: int | None = None, seen: Seen = NOBODY) -> Flow:
    """Return what the counters say at `now` (µs), the time of their last event where None.

    seen  who else takes part, though nothing of theirs flows in this minute
    """
    now = counters.time if now is None else max(now, counters.time)
    last = now // SECOND
    near = [s for at, s in counters.seconds.items() if last - RECENT < at <= last]
    minute = [s for at, s in counters.seconds.items() if last - WINDOW < at <= last]
    # A log that is younger than the window has no rates over all of it.
    first = next(iter(counters.seconds), last)
    span = max(1, min(RECENT, last - first + 1))
    events = _sum(s.events for s in near)
    delivered = _sum(s.delivered for s in near)
    failed = _sum(s.failed for s in minute)
    return Flow(
        time=now,
        rate=(sum(events.values()) + sum(delivered.values())) / span,
        failed=sum(failed.values()),
        publishing=_publishing(counters, _sum(s.events for s in minute), events, span, seen),
        telling=_telling(counters, minute, delivered, failed, span, seen),
    )


def _sum(counts: Iterable[Counter[Any]]) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for each in counts:
        total.update(each)
    return total


def _publishing(
    counters: Counters, minute: Mapping[int, int], near: Mapping[int, int], span: int, seen: Seen
) -> list[Publishing]:  # fmt: skip
    found: dict[tuple[str, str, str], Publishing] = {}
    for number in sorted({*minute, *seen.events}):
        lane = counters.lanes.get(number)
        if lane is None or lane.kind == "response":  # an answer from outside is on no channel
            continue
        key = lane.service, lane.channel, lane.type
        before = found.get(key) or Publishing(*key, 0.0, rank=number)
        many = max(minute.get(number, 0), seen.events.get(number, 0))
        rate = before.rate + near.get(number, 0) / span
        found[key] = before._replace(rate=rate, many=before.many + many)
    return [found[key] for key in sorted(found)]


def _telling(
    counters: Counters, minute: Sequence[Second], delivered: Mapping[Route, int],
    failed: Mapping[Route, int], span: int, seen: Seen,
) -> list[Telling]:  # fmt: skip
    behind = counters.behind()
    routes: set[Route] = {route for second in minute for route in second.delivered}
    routes |= {*behind, *seen.routes}
    times: defaultdict[str, list[int]] = defaultdict(list)
    for second in minute:
        for subscriber, taken in second.times.items():
            times[subscriber] += taken
    p99 = {name: percentile(taken, 0.99) for name, taken in times.items()}
    return [
        Telling(*route, delivered.get(route, 0) / span, failed.get(route, 0),
                behind.get(route, 0), p99.get(route.subscriber))
        for route in sorted(routes)
    ]  # fmt: skip


def percentile(values: Sequence[int], share: float) -> int | None:
    """Return the value that `share` of the values do not exceed, None of none."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
