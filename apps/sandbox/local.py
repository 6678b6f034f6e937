"""Handlers run in this process: for code that is trusted, such as that of tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apps.sandbox import handling
from apps.sandbox.answers import Answer
from apps.sandbox.outcome import Outcome, Task, World
from evdebug.sdk.handlers import Handler, Subscription


class Asked:
    """A world that remembers the last call nothing answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: dict[str, Any] | None = None

    def state(self, stream: str) -> bytes:
        """Return a stream's state as JSON."""
        return self.world.state(stream)

    def call(self, name: str, request: Any) -> Answer | None:
        """Return the answer of the outside, None where there is none."""
        answer = self.world.call(name, request)
        if answer is None:
            self.asked = {"call": name, "request": request}
        return answer

    def expected(self) -> list[tuple[str, str, Answer]]:
        """Return what may be asked."""
        return self.world.expected()


class Local:
    """A host of the given subscriptions."""

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        self._handlers: dict[tuple[str, str], Handler] = {
            (each.service, each.type): each.handler for each in subscriptions
        }

    def run(self, task: Task, world: World) -> Outcome:
        """Run the handler of a task."""
        handler = self._handlers[task.service, task.event["type"]]
        return handling.run(handler, task, Asked(world))
