"""A copy of a service that reads a Redis stream made for the sandbox, and answers beside it.

The copy has a consumer group of its own on the stream. It has handled an event when every group
there has acknowledged it; what it publishes because of it, it publishes before, with the mark that
came with the event: to the stream of the same name that ends with `.out`, or to the door. An entry
is deleted once it was handled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from apps.eventlog.envelope import Envelope
from apps.ingest import decode
from apps.ingest.broker_url import BrokerUrl
from apps.ingest.connector import Surroundings, TapError
from apps.ingest.connectors.redis_entries import entries, flat, order, record
from apps.ingest.connectors.redis_wire import Wire
from apps.ingest.marks import HEADER, Mark
from apps.ingest.problems import Problem, Refused
from apps.sandbox import cloudevent
from apps.sandbox.cloudevent import NotTaken
from apps.sandbox.emissions import Stopped
from apps.sandbox.outcome import Outcome, Task, World
from apps.sandbox.outside import LOOK_S, WITHIN_S, Box

PREFIX = "evdebug-sandbox"
OUT = ".out"
PAGE, MOST = 1000, 10_000


class Stream:
    """One stream of a Redis."""

    def __init__(
        self, url: BrokerUrl, name: str, around: Surroundings, box: Box, *,
        beat: Callable[[], object], within: float = WITHIN_S,
    ) -> None:  # fmt: skip
        self.url, self.name, self.around, self.box, self.within = url, name, around, box, within
        self._beat, self._number, self._last = beat, 0, ""
        self._wire: Wire | None = None

    def run(self, task: Task, world: World) -> Outcome:
        """Hand out an event and return what came of it. raises  Stopped"""
        self._beat()
        try:
            return self._run(task)
        except NotTaken as error:
            return Outcome("failed", str(error))
        except TapError as error:
            self.close()
            raise Stopped(f"{task.service} is not there: {error}", again=True) from error

    def _run(self, task: Task) -> Outcome:
        wire = self._opened()
        self._number += 1
        mark = Mark(self.box.token, self._number)
        body = cloudevent.written(task, mark)
        entry = wire.ask(
            "XADD", self.name, "*", "event", body, HEADER.decode(), str(mark),
            "evdebug-attempt", task.attempt,
        ).decode()  # fmt: skip
        try:
            self._acknowledged(wire, entry, task.service)
        finally:
            wire.ask("XDEL", self.name, entry)
        said = [*self._published(wire, mark), *self.box.take(mark.number)]
        return Outcome(said=cloudevent.said(said))

    def _opened(self) -> Wire:
        if self._wire is None:
            self._wire = Wire(self.url, self.around)
            newest = entries(self._wire.ask("XREVRANGE", self.name + OUT, "+", "-", "COUNT", 1))
            self._last = newest[0][0] if newest else "0-0"
        return self._wire

    def _acknowledged(self, wire: Wire, entry: str, service: str) -> None:
        """Wait until every group has taken an entry and let go of it. raises  Stopped"""
        end = time.monotonic() + self.within
        while True:
            groups = [flat(group) for group in wire.ask("XINFO", "GROUPS", self.name)]
            if not groups:
                raise Stopped(
                    f"Nobody reads {self.name}: the copy of {service} needs a consumer group"
                    " there.",
                    again=True,
                )  # fmt: skip
            if all(self._is_done(wire, group, entry) for group in groups):
                return
            if time.monotonic() > end:
                raise Stopped(
                    f"{service} did not acknowledge the event at {self.name} within"
                    f" {self.within:g} s.", again=True,
                )  # fmt: skip
            time.sleep(LOOK_S)

    def _is_done(self, wire: Wire, group: dict[str, Any], entry: str) -> bool:
        if order(group["last-delivered-id"].decode()) < order(entry):
            return False
        return not wire.ask("XPENDING", self.name, group["name"], entry, entry, 1)

    def _published(self, wire: Wire, mark: Mark) -> list[Envelope]:
        """Return what was published to the other stream with a mark, and take it from there."""
        out, found = self.name + OUT, []
        for _ in range(MOST // PAGE):
            page = entries(wire.ask("XRANGE", out, f"({self._last}", "+", "COUNT", PAGE))
            for entry, fields in page:
                self._last = entry
                if dict(fields).get(HEADER, b"") == str(mark).encode():
                    found.append(_event(record(out, "", entry, fields).body or b""))
                    wire.ask("XDEL", out, entry)
            if len(page) < PAGE:
                return found
        raise NotTaken(f"It published more than {MOST} events.")

    def close(self) -> None:
        """End the connection. May be called twice."""
        if self._wire is not None:
            self._wire.close()
        self._wire = None


def _event(body: bytes) -> Envelope:
    """Return a CloudEvent, or a plain event. raises  NotTaken"""
    mode: Any = "structured" if b'"specversion"' in body else "plain"
    try:
        items = decode.events(body, mode).items
    except Refused as error:
        raise NotTaken(f"It published what is no event: {error.detail}") from error
    if len(items) != 1 or isinstance(items[0], Problem):
        why = items[0].detail if items and isinstance(items[0], Problem) else "not one event"
        raise NotTaken(f"It published what is no event: {why}")
    return items[0]
