"""Runs handlers for what the bus hands over, and tells the journal what came of it.

A handler runs in one go at the moment its delivery begins; what it says then happens in its own
time: an event is published at the moment its calls have brought the handler's clock to, an answer
from outside arrives when the call ends, and the delivery is settled at the end. A handler that
raises publishes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Protocol
from uuid import UUID

from evdebug.sdk import Event, Handler, New, Subscription, Unavailable
from examples.shop.bus import CHANNEL_OF, Bus, Received
from examples.shop.entities import Entities, merge
from examples.shop.outside import Outside
from examples.shop.schedule import Schedule
from examples.shop.timing import Timing


@dataclass(slots=True)
class Delivery:
    """What came of one attempt to handle one event. Times are ms since 1970."""

    event: Event
    subscriber: str
    attempt: int
    outcome: str
    started: int
    finished: int
    error: str = ""


class Journal(Protocol):
    """Takes note of what happens, at the moment it happens."""

    def event(self, event: Event) -> None: ...

    def delivery(self, delivery: Delivery) -> None: ...


@dataclass(slots=True, eq=False)
class Run:
    """One attempt: the context its handler sees, and what it has said so far."""

    host: Host
    service: str
    event: Event
    attempt: int
    clock: int
    said: list[tuple[int, New]] = field(default_factory=list)
    skipped: str = ""
    _random: Random | None = None

    def call(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        answer, took = self.host.outside.answer(name, dict(request), self.clock, self.event)
        self.clock += took
        data = {"call": name, "request": request, "response": answer, "duration_ms": took}
        self.said.append((self.clock, New(name, "", data, kind="response")))
        return answer

    def state(self, stream: str) -> dict[str, Any]:
        """Return the state before this handler, with what it has said itself on top."""
        state = self.host.entities.state(stream)
        mine = [new.data for _, new in self.said if new.stream == stream]
        if mine:
            state = merge({}, state)
            for data in mine:
                merge(state, data)
        return state

    def skip(self, reason: str) -> None:
        self.skipped = reason

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock / 1000, UTC)

    def uuid(self) -> str:
        return str(UUID(int=self._dice().getrandbits(128), version=4))

    def random(self) -> float:
        return self._dice().random()

    def _dice(self) -> Random:
        if self._random is None:
            self._random = Random(f"{self.event.id}/{self.service}/{self.attempt}")
        return self._random


class Host:
    """The processes the services run in."""

    def __init__(
        self,
        schedule: Schedule,
        bus: Bus,
        outside: Outside,
        journal: Journal,
        entities: Entities,
        timing: Timing,
        ids: Callable[[int], str],
    ) -> None:
        self.schedule = schedule
        self.bus = bus
        self.outside = outside
        self.journal = journal
        self.entities = entities
        self.timing = timing
        self.ids = ids
        self._handlers: dict[tuple[str, str], Handler] = {}

    def install(self, subscriptions: Iterable[Subscription], *, workers: int = 0) -> None:
        """Subscribe handlers, or replace those of the same service and type: a deploy."""
        for each in subscriptions:
            if (each.service, each.type) not in self._handlers:
                self.bus.subscribe(each.service, each.type, self.handle, workers=workers)
            self._handlers[each.service, each.type] = each.handler

    def say(self, service: str, news: Iterable[New], *, cause: Event | None = None) -> None:
        """Publish now what a service says without having received an event from the bus."""
        for new in news:
            self._publish(service, new, cause)

    def handle(self, received: Received) -> None:
        """Run the handler of one delivery and plan what it said for the moments it said it."""
        now, event, service = self.schedule.now, received.event, received.group
        run = Run(self, service, event, received.attempt, now + self.timing.work(service))
        error = ""
        try:
            for new in self._handlers[service, event.type](event, run):
                run.said.append((run.clock, new))
        except Unavailable as failure:
            error = str(failure)
        for at, new in run.said:
            if not error or new.kind == "response":
                self.schedule.at(at, self._publish, service, new, event)
        self.schedule.at(run.clock, self._finish, received, run, now, error)

    def _finish(self, received: Received, run: Run, started: int, error: str) -> None:
        verdict = self.bus.settle(received, ok=not error)
        outcome = {"done": "handled", "retry": "failed", "dead": "dead_lettered"}[verdict]
        if run.skipped and not error:
            outcome, error = "skipped", run.skipped
        self.journal.delivery(
            Delivery(
                run.event, run.service, run.attempt, outcome, started, self.schedule.now, error
            )
        )

    def _publish(self, service: str, new: New, cause: Event | None) -> None:
        now = self.schedule.now
        event = Event(
            self.ids(now),
            new.type,
            f"/{service}",
            new.stream,
            new.data,
            now,
            new.kind,
            new.correlation or (cause.correlation if cause else ""),
            cause.id if cause else "",
            key=new.key,
        )
        if event.type in CHANNEL_OF:
            self.bus.publish(event)
        if event.kind == "event" and event.stream:
            self.entities.apply(event.stream, event.data)
        self.journal.event(event)
