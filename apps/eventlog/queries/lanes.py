"""The lanes of a system, remembered in the process: they are never changed or removed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

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


_known: dict[int, dict[int, Strings]] = {}  # system -> lane -> strings
_whole: dict[int, dict[int, Strings]] = {}  # the same, of systems all of whose lanes were read
_SELECT = "SELECT id, kind, type, source, channel, tap, content_type FROM eventlog_lane WHERE "


def lanes_of(system: int, ids: Iterable[int]) -> dict[int, Strings]:
    """Return the strings of lanes by id."""
    wanted = set(ids)
    known = {} if connection.in_atomic_block else _known.setdefault(system, {})
    if missing := wanted - known.keys():
        fresh = _load(system, missing)
        if connection.in_atomic_block:  # what is not committed may be rolled back: not remembered
            return fresh
        known.update(fresh)
    return {lane: known[lane] for lane in wanted}


def lanes(system: int) -> dict[int, Strings]:
    """Return all lanes of a system, in order of first appearance. Shared: not to be changed."""
    known = {} if connection.in_atomic_block else _whole.get(system, {})
    # Counted, not "after the last id": two timelines may commit their lanes in either order.
    count = store.fetch("SELECT count(*) FROM eventlog_lane WHERE system_id = %s", [system])[0][0]
    if count != len(known):
        rows = store.fetch(f"{_SELECT} system_id = %s ORDER BY id", [system])
        known = {row[0]: Strings(*row[1:]) for row in rows}
        if not connection.in_atomic_block:
            _whole[system] = known
    return known


def _load(system: int, ids: Iterable[int]) -> dict[int, Strings]:
    found = {}
    for clause, values in store.among(ids):
        for row in store.fetch(f"{_SELECT} system_id = %s AND id {clause}", [system, *values]):
            found[row[0]] = Strings(*row[1:])
    return found
