"""Decorators that say which functions of a module make states, and of which events.

    from evdebug.sdk import reducer, upcast

    @reducer("order", streams="order-*", version=2)
    def order(state, event):
        return {**(state or {}), "status": event.type}

    @reducer("customer", key=lambda event: event.data.get("customer"))
    @reducer("totals", key=None)
    @upcast("OrderPlaced", from_version=1)

A reducer is called as reducer(state, event) and returns the new state; the state is None before the
first event. It must depend on nothing else: it is called again whenever somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from evdebug.sdk.events import Event

Reduce = TypeVar("Reduce", bound=Callable[[Any, Event], Any])
Change = TypeVar("Change", bound=Callable[[Any], Any])


class Deleted:
    """What a reducer returns when the entity is gone; its state is then null."""

    def __repr__(self) -> str:
        return "DELETED"


DELETED = Deleted()


class _ByStream:
    def __repr__(self) -> str:
        return "BY_STREAM"


BY_STREAM: Any = _ByStream()


@dataclass(frozen=True)
class Reducer:
    """One projection. `key` is BY_STREAM, None for one state of all, or a function of the event."""

    name: str
    call: Callable[[Any, Event], Any]
    streams: tuple[str, ...]
    version: int
    key: Any
    kinds: tuple[str, ...]


REDUCERS: dict[str, Reducer] = {}
UPCASTS: dict[tuple[str, int], Callable[[Any], Any]] = {}


def reducer(
    name: str, *, streams: str | Iterable[str] = "*", version: int = 1, key: Any = BY_STREAM,
    kinds: Iterable[str] = ("event",),
) -> Callable[[Reduce], Reduce]:  # fmt: skip
    """Register a function as the projection `name`.

    streams  which streams feed it: names, or beginnings of names that end with *
    version  raise it when the function's meaning changes for reasons outside its module
    key      a function of the event that names the entity (None leaves the event out); None makes
             one state of all events; without it each stream is an entity
    kinds    event, command, response, delivery, progress
    raises   ValueError for a name that is taken or empty
    """
    patterns = (streams,) if isinstance(streams, str) else tuple(streams)
    if not name or name == "merge" or name in REDUCERS:
        raise ValueError(f"A projection cannot be called {name!r}: empty, or taken.")
    if key is not None and key is not BY_STREAM and not callable(key):
        raise ValueError(f"The key of {name!r} is a function of the event, or None.")

    def register(call: Reduce) -> Reduce:
        REDUCERS[name] = Reducer(name, call, patterns, version, key, tuple(kinds))
        return call

    return register


def upcast(event_type: str, *, from_version: int) -> Callable[[Change], Change]:
    """Register a function that turns data of one version of a type into the next version's.

    raises  ValueError when there is one already
    """
    if (event_type, from_version) in UPCASTS:
        raise ValueError(f"{event_type!r} has an upcaster from version {from_version} already.")

    def register(change: Change) -> Change:
        UPCASTS[event_type, from_version] = change
        return change

    return register


def upcasted(event_type: str, version: int, data: Any) -> tuple[int, Any]:
    """Return version and data after every upcaster that applies, one after the other."""
    while change := UPCASTS.get((event_type, version)):
        data = change(data)
        version += 1
    return version, data


def fits(patterns: Iterable[str], stream: str) -> bool:
    """Return whether a stream is one of those named, or begins as one that ends with * does."""
    return any(stream.startswith(p[:-1]) if p.endswith("*") else stream == p for p in patterns)
