"""Handlers: what a service does with an event, written so that it can be replayed.

    from evdebug.sdk import New, Unavailable, subscriber

    @subscriber("payments", to="OrderPlaced")
    def authorize(event, ctx):
        answer = ctx.call("acquire/authorize", {"order": event.data["order"]})
        if answer["status"] >= 500:
            raise Unavailable(answer["error"])
        yield New("PaymentAuthorized", answer["payment"], {"status": "authorized"})

A handler is a generator function over one event. It reads state and the outside only through its
context and yields the events it wants published, so the same function runs on a bus, in a test and
in a sandbox. One that raises publishes nothing, and its delivery has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from evdebug.sdk.events import Event


@dataclass(slots=True)
class New:
    """One event a handler wants published. "" means: as the event being handled has it."""

    type: str
    stream: str
    data: Any
    kind: str = "event"
    key: str = ""  # picks the lane on the bus; "" takes the stream
    correlation: str = ""


class Unavailable(Exception):
    """Something outside did not do its part. The delivery failed and may be tried again."""


class Context(Protocol):
    """What a handler may touch besides its event."""

    def call(self, name: str, request: Mapping[str, Any]) -> Any:
        """Ask an outside service and return its answer.

        Nothing is raised for a bad status: what to do about it is the handler's business.
        """
        ...

    def state(self, stream: str) -> Any:
        """Return the events of `stream` so far, merged; {} before the first. Read only."""
        ...

    def skip(self, reason: str) -> None:
        """Note that this delivery repeats one already handled."""
        ...

    def now(self) -> datetime:
        """Return the time, aware and in UTC; it moves on with every call."""
        ...

    def uuid(self) -> str:
        """Return an id that is another for each call, and the same when the handler runs again."""
        ...

    def random(self) -> float:
        """Return a number from 0 up to 1, the same when the handler runs again."""
        ...


Handler = Callable[[Event, Context], Iterable[New]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One handler, the service it belongs to and the event type it runs for."""

    service: str
    type: str
    handler: Handler = field(compare=False)


def subscriber(service: str, *, to: str) -> Callable[[H], H]:
    """Mark a function as the handler of `service` for events of type `to`."""

    def mark(handler: H) -> H:
        handler.subscription = Subscription(service, to, handler)  # type: ignore[attr-defined]
        return handler

    return mark


def subscriptions(module: object) -> list[Subscription]:
    """Return what a module's functions subscribe to, in the order they are written."""
    found = [getattr(value, "subscription", None) for value in vars(module).values()]
    return [each for each in found if isinstance(each, Subscription)]
