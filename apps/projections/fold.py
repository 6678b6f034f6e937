"""Folding events into a state, one after the other, with errors as values.

    fold(reducer, start, events) → Point(position, state, error)

A reducer is somebody's code: it may raise, return nonsense or change its input. What it was given
is always a copy, and what it returned is kept as JSON, so neither can reach back: a Point holds
the last good state and says where and why it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import msgspec

from apps.projections import exact
from apps.projections.exact import MISSING


class Positioned(Protocol):
    """Anything with a position in the log."""

    @property
    def position(self) -> int: ...


class Point(msgspec.Struct, frozen=True):
    """A state at a position.

    position  of the last event the state contains
    state     MISSING before the first event; never to be changed
    error     why a later event could not be taken, "" when all were
    broken    the position of that event; every later Point is interrupted there
    """

    position: int
    state: Any = MISSING
    error: str = ""
    broken: int | None = None


START = Point(0)


class Nonsense(Exception):
    """A reducer returned what cannot be a state."""


def fold(reducer: Callable[[Any, Any], Any], start: Point, events: Iterable[Positioned]) -> Point:
    """Return the point after `events`, or the one before the event that could not be taken.

    reducer  called as reducer(state, event); the state is its own copy, None before the first event
    """
    point = start
    for point in walk(reducer, start, events):  # noqa: B007 - the last one
        pass
    return point


def walk(
    reducer: Callable[[Any, Any], Any], start: Point, events: Iterable[Positioned]
) -> Iterator[Point]:
    """Yield the point after each event; ends with the first that carries an error."""
    if start.error:
        return
    raw, position = exact.encode(start.state), start.position
    for event in events:
        try:
            raw = taken(reducer(msgspec.json.decode(raw), event))
        except Exception as error:
            state = start.state if position == start.position else msgspec.json.decode(raw)
            yield Point(position, state, explained(error), event.position)
            return
        position = event.position
        yield Point(position, msgspec.json.decode(raw))


def taken(result: Any) -> bytes:
    """Return what a reducer returned as JSON.

    raises  Nonsense with words for the person who wrote the reducer
    """
    if result is None:
        raise Nonsense("The reducer returned None. Return the new state, also where it is the old.")
    try:
        raw = exact.encode(result)
    except RecursionError:
        raise Nonsense("The reducer returned a value that contains itself.") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise Nonsense(
            f"The reducer returned what JSON cannot hold ({error}). Return dicts, lists, texts,"
            " numbers, booleans and None."
        ) from None
    if len(raw) > exact.SIZE:
        raise Nonsense(
            f"The reducer returned {len(raw)} bytes of JSON; a state has at most {exact.SIZE}."
        )
    if raw.count(b"{") + raw.count(b"[") > exact.DEPTH:
        nested = exact.depth(msgspec.json.decode(raw))
        if nested > exact.DEPTH:
            raise Nonsense(
                f"The reducer returned {nested} levels of nesting; a state has at most"
                f" {exact.DEPTH}."
            )
    return raw


def explained(error: BaseException) -> str:
    """Return an error as one line of at most 500 characters."""
    if isinstance(error, Nonsense):
        return str(error)[:500]
    try:
        text = str(error)
    except Exception:  # an exception of the subject's own may fail at that, too
        text = "(its message cannot be shown)"
    return f"{type(error).__name__}: {text}"[:500]
