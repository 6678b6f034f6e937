"""Handlers typed in a browser, run by an interpreter without files, network, clock and chance.

It needs no walls of the platform. Each handler runs in a world of its own: what one leaves in a
global, the next does not see.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from apps.projections import typed
from apps.projections.typed import BadCode
from apps.sandbox import handling
from apps.sandbox.handling import EPOCH
from apps.sandbox.local import Asked
from apps.sandbox.outcome import Outcome, Silence, Task, World
from apps.sandbox.rewriting import rewritten
from evdebug.sdk.events import Event
from evdebug.sdk.handlers import Context, New, Unavailable

AWAY = "evdebug.sdk.Unavailable: "  # how an error begins that a handler raises as Unavailable
_PRELUDE = f"""
_handlers = []
def subscriber(service, *, to):
    def mark(f):
        _handlers.append([service, to, f])
        return f
    return mark
class New:
    def __init__(self, type, stream, data, kind="event", key="", correlation=""):
        self.given = [type, stream, data, kind, key, correlation]
def Unavailable(text=""):
    return RuntimeError({AWAY!r} + str(text))
def _say(new):
    _tell(new.given if type(new).__name__ == "New" else None, type(new).__name__)
def _say_all(each):
    if each is not None:
        for new in each:
            _say(new)
class _Context:
    def call(self, name, request):
        return _call(name, request)
    def state(self, stream):
        return _state(stream)
    def skip(self, reason):
        _skip(reason)
    def now(self):
        return _now()
    def uuid(self):
        return _uuid()
    def random(self):
        return _random()
def _told():
    return [[h[0], h[1]] for h in _handlers]
def _run(service, to, event):
    for h in _handlers:
        if h[0] == service and h[1] == to:
            found = h[2]
    _say_all(found(event, _Context()))
"""


class _Over(BaseException):
    """Ends the code, whatever it catches."""


class Interpreted:
    """A host of source that was typed.

    raises  NotTyped, BadCode where it cannot be run so
    """

    def __init__(self, source: str) -> None:
        self.source = rewritten(source)
        with typed.session(self.source, prelude=_PRELUDE) as code:
            told = code.call("_told")
        if told.error:
            raise BadCode(told.error, told.line)
        fits = isinstance(told.value, list) and all(
            isinstance(s, str) and isinstance(t, str) for s, t in told.value
        )
        if not fits:
            raise BadCode("A subscriber names a service and an event type, as texts.")
        self.handlers: list[tuple[str, str]] = [(service, type) for service, type in told.value]

    def run(self, task: Task, world: World) -> Outcome:
        """Run the handler of a task."""
        return handling.run(self._handler(task), task, Asked(world))

    def _handler(self, task: Task) -> Callable[[Event, Context], list[New]]:
        def handler(event: Event, context: Any) -> list[New]:
            outside = _Outside(context)
            seed = hash_of(f"{task.event['id']}/{task.service}/{task.attempt}")
            start = (EPOCH + timedelta(microseconds=task.clock)).replace(tzinfo=None)
            with typed.session(self.source, prelude=_PRELUDE, seed=seed, start=start) as code:
                done = code.call(
                    "_run", task.service, event.type, event, outside=outside.functions()
                )  # fmt: skip
            if outside.silent:
                raise Silence
            if done.error:
                _fail(done.error, done.line, outside)
            return []

        return handler


def hash_of(text: str) -> int:
    """Return a number that depends on a text alone."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest())


def _fail(error: str, line: int, outside: _Outside) -> None:
    """Raise what a handler raised."""
    _, away, text = error.partition(AWAY)
    if away:
        raise Unavailable(text)
    if outside.away and outside.away in error:
        raise Unavailable(outside.away)
    raise RuntimeError(f"{error} (line {line})" if line else error)


class _Outside:
    """The context's functions, as the code may call them."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.silent, self.away = False, ""

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        context = self.context
        return {
            "_call": self._call, "_tell": self._tell, "_state": context.state,
            "_skip": context.skip, "_now": context.now, "_uuid": context.uuid,
            "_random": context.random,
        }  # fmt: skip

    def _call(self, name: str, request: Any) -> Any:
        try:
            return self.context.call(name, request)
        except Silence:
            self.silent = True
            raise _Over from None
        except Unavailable as away:
            self.away = str(away)
            raise

    def _tell(self, given: list[Any] | None, kind: str) -> None:
        if given is None:
            raise TypeError(f"A handler yields New(type, stream, data), not {kind}.")
        self.context.take(New(*given))
