"""Copies of services outside: events are handed to them, and what they publish comes back.

A copy is a host like any other, but its outcomes are kept in the run's journal one by one: a run
that goes on elsewhere hands out again at most the one event that was on its way. What a copy cannot
be reached for is no outcome: the run stops there, and goes on when a person says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from apps.eventlog.envelope import Envelope
from apps.ingest import decode, web
from apps.ingest.connector import Surroundings, TapError
from apps.ingest.marks import HEADER, Mark
from apps.ingest.problems import Problem, Refused
from apps.sandbox import cloudevent
from apps.sandbox.cloudevent import NotTaken
from apps.sandbox.emissions import Stopped
from apps.sandbox.outcome import Outcome, Task, World

WITHIN_S = 10.0  # a copy has to answer
LIMIT = 4 * 1024 * 1024  # bytes of an answer
QUIET_S = 0.25  # without another event, after which a copy that works on has said all
LOOK_S = 0.02
CLOUDEVENTS = {
    b"application/cloudevents+json": "structured", b"application/cloudevents-batch+json": "batch",
}  # fmt: skip


class Box(Protocol):
    """Where what a copy publishes with the marks of this run comes in."""

    token: str

    def count(self, number: int) -> int:
        """Return how many events came with a number so far."""
        ...

    def take(self, number: int) -> list[Envelope]:
        """Return what came with a number."""
        ...


class Http:
    """A copy that takes events by POST.

    It has handled an event when it answers 2xx; with 202 it may publish a little later, and is
    waited for until it is quiet. It publishes to the door with the mark, or in its answer.
    """

    def __init__(
        self, url: str, around: Surroundings, box: Box, *, beat: Callable[[], object],
        within: float = WITHIN_S,
    ) -> None:  # fmt: skip
        self.url, self.around, self.box, self.within = url, around, box, within
        self._beat, self._number = beat, 0

    def run(self, task: Task, world: World) -> Outcome:
        """Hand out an event and return what came of it. raises  Stopped"""
        self._beat()
        self._number += 1
        mark = Mark(self.box.token, self._number)
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            HEADER.decode(): str(mark), "evdebug-attempt": str(task.attempt),
        }  # fmt: skip
        try:
            answer = web.post(
                self.url, self.around, cloudevent.written(task, mark), headers, limit=LIMIT,
                within=self.within,
            )  # fmt: skip
        except TapError as error:
            raise Stopped(f"{task.service} is not there: {error}", again=True) from error
        if 300 <= answer.status < 400:
            raise Stopped(
                f"{task.service} redirects ({answer.status}); a target is never followed elsewhere."
                " Name where it leads.", again=True,
            )  # fmt: skip
        if not 200 <= answer.status < 300:
            return Outcome("failed", f"It answered {answer.status}.")
        if answer.status == 202:
            settled(lambda: self.box.count(mark.number), self.within)
        try:
            return Outcome(said=cloudevent.said([*replied(answer), *self.box.take(mark.number)]))
        except NotTaken as error:
            return Outcome("failed", str(error))


def settled(count: Callable[[], int], within: float, quiet: float = QUIET_S) -> None:
    """Wait until nothing more comes, or the time is over."""
    end = time.monotonic() + within
    last, since = -1, time.monotonic()
    while (now := time.monotonic()) < end:
        if (there := count()) != last:
            last, since = there, now
        elif now - since >= quiet:
            return
        time.sleep(LOOK_S)


def replied(answer: web.Answer) -> list[Envelope]:
    """Return the CloudEvents in an answer, as some frameworks reply; others say nothing.

    raises  NotTaken
    """
    types = [value for name, value in answer.headers if name == b"content-type"]
    media = types[0].partition(b";")[0].strip().lower() if types else b""
    binary = any(name == b"ce-specversion" for name, _ in answer.headers)
    mode = CLOUDEVENTS.get(media) or ("binary" if binary else "")
    if not mode or not (answer.body or binary):
        return []
    try:
        items = decode.events(answer.body, mode, answer.headers).items  # type: ignore[arg-type]
    except Refused as error:
        raise NotTaken(f"It answered what is no CloudEvent: {error.detail}") from error
    for item in items:
        if isinstance(item, Problem):
            raise NotTaken(f"It answered what is no CloudEvent: {item.detail}")
    return [item for item in items if isinstance(item, Envelope)]
