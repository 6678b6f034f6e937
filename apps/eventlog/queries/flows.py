"""What began and what came after it, by correlation or by stream: two walks of an index."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line, position

By = Literal["correlation", "stream"]
COLUMNS: dict[By, str] = {"correlation": "correlation_id", "stream": "stream_id"}


class Begun(NamedTuple):
    """An event that began something; `key` is the number of its correlation or stream."""

    position: int
    log_time: int
    key: int


def begun(
    line: Line, lanes: Iterable[int], by: By, *, after: int, upto: int, most: int
) -> list[Begun]:
    """Return the newest events of some lanes that have a key, newest first, `most` at most."""
    found: list[Begun] = []
    for lane in lanes:
        left = most
        for part in reversed(line.within(after, upto)):
            rows = store.fetch(
                f"SELECT place, log_time, {COLUMNS[by]} FROM eventlog_event WHERE lane_id = %s"
                " AND place > %s AND place <= %s ORDER BY place DESC LIMIT %s",
                [lane, part.low, part.high, left],
            )
            found += [Begun(position(p), at, key) for p, at, key in rows if key is not None]
            left -= len(rows)
            if left <= 0:
                break
    return sorted(found, reverse=True)[:most]


def last(
    line: Line, keys: Iterable[int], by: By, lanes: Collection[int], *, upto: int
) -> dict[int, tuple[int, int]]:
    """Return {key: (position, lane)} of each key's newest event in some lanes, where it has one."""
    found: dict[int, tuple[int, int]] = {}
    wanted = set(keys)
    if not lanes:
        return found
    numbers = ",".join(map(str, sorted(lanes)))
    for part in reversed(line.within(0, upto)):
        for clause, values in store.among(sorted(wanted - found.keys())):
            found |= _last(COLUMNS[by], clause, [*values, part.low, part.high], numbers)
    return found


def _last(
    column: str, clause: str, parameters: Sequence[object], numbers: str
) -> dict[int, tuple[int, int]]:
    newest = store.fetch(
        f"SELECT {column}, max(place) FROM eventlog_event WHERE {column} {clause}"
        f" AND +place > %s AND +place <= %s AND +lane_id IN ({numbers}) GROUP BY {column}",
        parameters,
    )
    lanes: dict[int, int] = {}
    for some, values in store.among([place for _, place in newest]):
        lanes |= dict(
            store.fetch(f"SELECT place, lane_id FROM eventlog_event WHERE place {some}", values)
        )
    return {key: (position(place), lanes[place]) for key, place in newest}
