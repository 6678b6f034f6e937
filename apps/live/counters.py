"""What went on in the minute before a moment: who published, who was told, how it ended.

One count of it, whether the moment is now and events are added as they come, or the playhead is in
the past and the minute is read at once. Everything is bounded: by the window, and by `MOST`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from apps.eventlog.told import read, took

SECOND = 1_000_000  # µs
WINDOW = 60  # s
MOST = 30_000  # events remembered for who has not answered
TIMES = 500  # handling times kept of one subscriber in one second
SETTLED = frozenset({"handled", "skipped", "dead_lettered"})
FAILED = frozenset({"failed", "dead_lettered"})
BESIDE = frozenset({"delivery", "progress", "span"})  # kinds that say what became of events


class Lane(NamedTuple):
    """What counts of a lane. `service` publishes, or is told."""

    kind: str
    type: str
    service: str
    channel: str


class Route(NamedTuple):
    """A way from a channel to a subscriber."""

    channel: str
    subscriber: str


class Second:
    """What happened within one second of the log's time."""

    __slots__ = ("delivered", "events", "failed", "times")

    def __init__(self) -> None:
        self.events: Counter[int] = Counter()  # by lane
        self.delivered: Counter[Route] = Counter()
        self.failed: Counter[Route] = Counter()
        self.times: dict[str, list[int]] = {}  # subscriber -> handling, µs


class Counters:
    """Counts of one timeline. Feed it events in order with `take`."""

    def __init__(self, lanes: Mapping[int, Lane]) -> None:
        self.lanes = dict(lanes)
        self.position = 0  # of the last event taken
        self.time = 0  # its log_time
        self.seconds: OrderedDict[int, Second] = OrderedDict()
        self.lags: dict[Route, int] = {}  # as the bus itself says
        self._recent: OrderedDict[int, tuple[int, int, set[str]]] = OrderedDict()
        self._events: Counter[int] = Counter()  # among the recent, by lane
        self._settled: Counter[tuple[int, str]] = Counter()

    def unknown(self, causes: Iterable[int | None]) -> set[int]:
        """Return which causes of deliveries are too old to be remembered here."""
        return {cause for cause in causes if cause is not None and cause not in self._recent}

    def take(self, ticks: Iterable[tuple[int, int, int, int | None, bytes | None]],
             causes: Mapping[int, int]) -> None:  # fmt: skip
        """Count events: (position, lane, log_time, cause, data of deliveries), in order.

        causes  the lane of each cause that is `unknown`
        """
        for position, number, time, cause, data in ticks:
            lane = self.lanes.get(number)
            if lane is None:
                continue
            self.position, self.time = position, time
            second = self._second(time // SECOND)
            if lane.kind == "delivery":
                self._deliver(second, position, time, lane, cause, data, causes)
            elif lane.kind == "progress":
                self._progress(lane, data)
            elif lane.kind != "span":
                second.events[number] += 1
                self._remember(position, number, time // SECOND)

    def _second(self, at: int) -> Second:
        second = self.seconds.get(at)
        if second is None:
            second = self.seconds[at] = Second()
            while next(iter(self.seconds)) <= at - WINDOW:
                self.seconds.popitem(last=False)
            self._forget(at - WINDOW)
        return second

    def _remember(self, position: int, lane: int, second: int) -> None:
        self._recent[position] = (lane, second, set())
        self._events[lane] += 1
        if len(self._recent) > MOST:
            self._drop()

    def _forget(self, before: int) -> None:
        while self._recent and next(iter(self._recent.values()))[1] <= before:
            self._drop()

    def _drop(self) -> None:
        _, (lane, _, done) = self._recent.popitem(last=False)
        self._events[lane] -= 1
        for subscriber in done:
            self._settled[lane, subscriber] -= 1

    def _deliver(self, second: Second, position: int, time: int, lane: Lane, cause: int | None,
                 data: bytes | None, causes: Mapping[int, int]) -> None:  # fmt: skip
        told = read(data)
        known = self._recent.get(cause) if cause is not None else None
        number = known[0] if known else causes.get(cause or 0)
        of = self.lanes.get(number) if number is not None else None
        route = Route(of.channel if of else "", lane.service)
        if lane.type != "received":
            second.delivered[route] += 1
        if known and lane.type in SETTLED and lane.service not in known[2]:
            known[2].add(lane.service)
            self._settled[known[0], lane.service] += 1
        if lane.type in FAILED:
            second.failed[route] += 1
        taken = took(told)
        times = second.times.setdefault(lane.service, [])
        if taken is not None and len(times) < TIMES:
            times.append(taken)

    def _progress(self, lane: Lane, data: bytes | None) -> None:
        told = read(data)
        if told.lag is not None:
            self.lags[Route(lane.channel, lane.service)] = told.lag

    def wanted(self) -> dict[str, set[int]]:
        """Return the lanes each subscriber was seen to answer for in the last minute."""
        found: dict[str, set[int]] = {}
        for (number, subscriber), settled in self._settled.items():
            if settled > 0:
                found.setdefault(subscriber, set()).add(number)
        return found

    def behind(self) -> dict[Route, int]:
        """Return how many events of the last minute each subscriber has not answered for yet.

        What a subscriber wants is what it was seen to answer for. Where the bus itself says how
        far a group is behind, that counts.
        """
        found: Counter[Route] = Counter()
        for (number, subscriber), settled in self._settled.items():
            lane = self.lanes[number]
            if settled > 0:
                waiting = self._events[number] - settled
                found[Route(lane.channel, subscriber)] += max(0, waiting)
        return dict(found) | self.lags


def error_of(data: bytes | None) -> str:
    """Return the error a delivery's data tells of, "" for none."""
    return read(data).error or ""
