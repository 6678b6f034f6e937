"""What the JSON API and the commands answer about states."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from apps.eventlog.envelope import isoformat
from apps.projections import blame, exact
from apps.projections.exact import MISSING

_encoder = msgspec.json.Encoder(decimal_format="number")


def encoded(value: Any) -> bytes:
    """Return an answer as JSON; numbers keep their digits."""
    return _encoder.encode(value)


class _State(Protocol):
    @property
    def position(self) -> int: ...
    @property
    def state(self) -> Any: ...
    @property
    def error(self) -> str: ...
    @property
    def marks(self) -> Any: ...
    @property
    def cost(self) -> Any: ...
    @property
    def broken(self) -> int | None: ...


def value(found: Any) -> Any:
    """Return a value for JSON: null where there is none."""
    return None if found is MISSING else found


def state(found: _State, *, marks: bool) -> dict[str, Any]:
    """Return a state in the shape of the JSON API."""
    shape = {
        "position": found.position,
        "state": value(found.state),
        "error": found.error or None,
        "cost": found.cost,
    }
    if found.broken is not None:
        shape["broken"] = found.broken
    return shape | ({"blame": blame.flat(found.marks)} if marks else {})


class _Entry(Protocol):
    @property
    def position(self) -> int: ...
    @property
    def log_time(self) -> int: ...
    @property
    def value(self) -> Any: ...


def entry(change: _Entry) -> dict[str, Any]:
    """Return one change of a field."""
    shape = {
        "position": change.position,
        "log_time": isoformat(change.log_time),
        "value": value(change.value),
    }
    return shape | ({"missing": True} if change.value is MISSING else {})


class _Found(Protocol):
    @property
    def position(self) -> int | None: ...
    @property
    def stream(self) -> str: ...
    @property
    def checked(self) -> int: ...
    @property
    def ms(self) -> float: ...
    @property
    def complete(self) -> bool: ...
    @property
    def scanned_to(self) -> int: ...


def found(search: _Found) -> dict[str, Any]:
    """Return what a search found."""
    shape = {
        "position": search.position,
        "stream": search.stream,
        "checked": search.checked,
        "ms": search.ms,
        "complete": search.complete,
    }
    return shape if search.complete else shape | {"scanned_to": search.scanned_to}


def said(exact_value: Any, limit: int = 60) -> str:
    """Return a value as short JSON text for a table, "" where there is none."""
    if exact_value is MISSING:
        return ""
    text = exact.encode(exact_value).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
