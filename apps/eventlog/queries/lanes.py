"""The lanes of a system, remembered in the process: they are never changed or removed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import connection

from apps.eventlog import store


class Strings(NamedTuple):
    """The six strings a lane stands for."""

    kind: str
    type: str
    source: str
    channel: str
    tap: str
    content_type: str


HELD = 200_000  # lanes remembered of all systems together; some 300 bytes each

_known: dict[int, dict[int, Strings]] = {}  # system -> lane -> strings
_whole: dict[int, dict[int, Strings]] = {}  # the same, of systems all of whose lanes were read
_SELECT = "SELECT id, kind, type, source, channel, tap, content_type FROM eventlog_lane WHERE "


def lanes_of(system: int, ids: Iterable[int]) -> dict[int, Strings]:
    """Return the strings of lanes by id."""
    wanted = set(ids)
    if connection.in_atomic_block:
        known: dict[int, Strings] = {}
    else:
        known = _whole.get(system, {})
        if not wanted <= known.keys():
            known = _known.get(system, {})
    if missing := wanted - known.keys():
        fresh = _load(system, missing)
        if connection.in_atomic_block:  # what is not committed may be rolled back: not remembered
            return fresh
        known = known | fresh
        _hold(_known, system, known)
    return {lane: known[lane] for lane in wanted}


def lanes(system: int) -> dict[int, Strings]:
    """Return all lanes of a system, in order of first appearance. Shared: not to be changed.

    A system with more than HELD of them, one with a type for each event, is read anew each time.
    """
    known = {} if connection.in_atomic_block else _whole.get(system, {})
    # Counted, not "after the last id": two timelines may commit their lanes in either order.
    count = store.fetch("SELECT count(*) FROM eventlog_lane WHERE system_id = %s", [system])[0][0]
    if count != len(known):
        rows = store.fetch(f"{_SELECT} system_id = %s ORDER BY id", [system])
        known = _shared(rows)
        if not connection.in_atomic_block:
            _hold(_whole, system, known)
    return known


def _hold(held: dict[int, dict[int, Strings]], system: int, known: dict[int, Strings]) -> None:
    """Remember a system's lanes; where that is too much, forget the others', or these."""
    held.pop(system, None)
    if len(known) + sum(map(len, held.values())) > HELD:
        held.clear()
    if len(known) <= HELD:
        held[system] = known


def _load(system: int, ids: Iterable[int]) -> dict[int, Strings]:
    found = {}
    for clause, values in store.among(ids):
        rows = store.fetch(f"{_SELECT} system_id = %s AND id {clause}", [system, *values])
        found.update(_shared(rows))
    return found


def _shared(rows: Iterable[tuple[Any, ...]]) -> dict[int, Strings]:
    """Return lanes by id; equal strings are one object, as most of a lane's are those of others."""
    one: dict[str, str] = {}
    return {row[0]: Strings(*(one.setdefault(text, text) for text in row[1:])) for row in rows}
