"""Running one handler: its context, its frozen clock and its seeded chance. No Django here.

A handler is somebody's code. What it raises, returns and says is a value in the Outcome.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from apps.projections import merge
from apps.projections.fold import explained
from apps.sandbox.outcome import Outcome, Said, Silence, Task, World
from evdebug.sdk.events import Event
from evdebug.sdk.handlers import Handler, New, Unavailable

SAID = 10_000  # things one handler may say
SIZE = 16 * 1024 * 1024  # bytes of them
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Context:
    """What a handler may touch besides its event; see evdebug.sdk.Context."""

    def __init__(self, task: Task, world: World, moved: Callable[[int], None]) -> None:
        self.world, self.clock, self._moved = world, task.clock, moved
        self.said: list[Said] = []
        self.read: dict[str, None] = {}
        self.skipped = ""
        self._began = task.clock
        self._seed = f"{task.event['id']}/{task.service}/{task.attempt}"
        self._dice: Random | None = None
        self._size = 0

    def call(self, name: str, request: Mapping[str, Any]) -> Any:
        """Return the recorded answer; raise Silence where there is none."""
        asked = msgspec.json.decode(msgspec.json.encode(request))
        answer = self.world.call(str(name), asked)
        if answer is None:
            raise Silence
        if answer.failed:
            raise Unavailable(f"nothing recorded answers {name}")
        self.clock += answer.took
        self._moved(self.clock)
        data = {
            "call": str(name), "request": asked, "response": answer.response,
            "duration_ms": answer.took // 1000 if answer.took % 1000 == 0 else answer.took / 1000,
        }  # fmt: skip
        self._add(Said(str(name), "", msgspec.Raw(msgspec.json.encode(data)), "response"))
        return msgspec.json.decode(msgspec.json.encode(answer.response))

    def state(self, stream: str) -> Any:
        """Return a stream's state before this handler, with what it has said itself on top."""
        self.read[stream] = None
        state = msgspec.json.decode(self.world.state(stream))
        for each in self.said:
            if each.stream == stream and each.kind == "event":
                state = merge.apply(state, msgspec.json.decode(each.data))
        return state

    def skip(self, reason: str) -> None:
        """Note that this delivery repeats one already handled."""
        self.skipped = str(reason)[:1000] or "skipped"

    def now(self) -> datetime:
        """Return the frozen time, which moves on with the calls alone."""
        return EPOCH + timedelta(microseconds=self.clock)

    def uuid(self) -> str:
        """Return an id seeded with event, service and attempt."""
        return str(UUID(int=self._chance().getrandbits(128), version=4))

    def random(self) -> float:
        """Return a number seeded with event, service and attempt."""
        return self._chance().random()

    def _chance(self) -> Random:
        if self._dice is None:
            self._dice = Random(self._seed)
        return self._dice

    def take(self, new: Any) -> None:
        """Take one thing the handler yielded."""
        if not isinstance(new, New):
            raise TypeError(f"A handler yields New(type, stream, data), not {type(new).__name__}.")
        if new.kind not in ("event", "command"):
            raise ValueError(f"A handler says events and commands, not {str(new.kind)[:40]!r}.")
        names = (new.type, new.stream, new.key, new.correlation)
        if not all(isinstance(n, str) and "\0" not in n and len(n) <= 1024 for n in names):
            raise ValueError("type, stream, key and correlation are texts of at most 1024 letters.")
        if not new.type:
            raise ValueError("An event needs a type.")
        data = msgspec.Raw(msgspec.json.encode(new.data))
        self._add(Said(new.type, new.stream, data, new.kind, new.key, new.correlation))

    def _add(self, said: Said) -> None:
        said.after = self.clock - self._began
        self._size += len(bytes(said.data)) + 200
        if len(self.said) >= SAID or self._size > SIZE:
            raise RuntimeError(f"A handler may say at most {SAID} things, {SIZE} bytes in all.")
        self.said.append(said)


def run(
    handler: Handler, task: Task, world: World, *, moved: Callable[[int], None] = lambda at: None
) -> Outcome:
    """Run a handler to its end and return what came of it.

    moved  is told the handler's clock, µs, when a call has moved it on
    """
    context = Context(task, world, moved)
    try:
        result: Iterable[Any] | None = handler(Event(**task.event), context)
        if inspect.isawaitable(result):
            raise TypeError("A handler is a plain function or generator, not async.")
        for new in result or ():
            context.take(new)
    except Silence:
        last = getattr(world, "asked", None)
        return Outcome("failed", wanted=last, said=context.said, read=list(context.read))
    except Unavailable as failure:
        return _outcome(context, "failed", str(failure)[:1000])
    except Exception as wrong:
        return _outcome(context, "failed", explained(wrong))
    if context.skipped:
        return _outcome(context, "skipped", context.skipped)
    return _outcome(context, "handled", "")


def _outcome(context: Context, word: str, error: str) -> Outcome:
    return Outcome(word, error, context.said, list(context.read))
