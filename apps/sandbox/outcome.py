"""What came of running a handler once, and who runs one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from apps.sandbox.answers import Answer


class Said(msgspec.Struct, omit_defaults=True):
    """One thing a handler said: an event, a command, or a `response` it got from outside.

    after  µs from its beginning, by its own frozen clock
    """

    type: str
    stream: str
    data: msgspec.Raw
    kind: str = "event"
    key: str = ""
    correlation: str = ""
    after: int = 0


class Outcome(msgspec.Struct, omit_defaults=True):
    """What came of it. `wanted` is a call nothing answers: the run stops there.

    read  streams whose state the handler looked at
    """

    outcome: str = "handled"
    error: str = ""
    said: list[Said] = []
    read: list[str] = []
    wanted: dict[str, Any] | None = None


class Task(msgspec.Struct):
    """One execution as a handler sees it."""

    service: str
    event: dict[str, Any]  # the fields of evdebug.sdk.Event
    attempt: int
    clock: int  # µs


class World(Protocol):
    """What a handler may ask for while it runs."""

    def state(self, stream: str) -> bytes:
        """Return a stream's state as JSON."""
        ...

    def call(self, name: str, request: Any) -> Answer | None:
        """Return the answer of the outside, None where there is none."""
        ...

    def expected(self) -> list[tuple[str, str, Answer]]:
        """Return (name, request as JSON, answer) of calls that may come.

        What `call` would answer to them in this order; nothing is taken by looking.
        """
        ...


class Host(Protocol):
    """Runs handlers. What they do wrong is in the Outcome; nothing is raised for it."""

    def run(self, task: Task, world: World) -> Outcome: ...


class Silence(Exception):
    """Nothing answers a call: the handler is stopped, and so is the run."""


Runs = Callable[[Task, World], Outcome]
