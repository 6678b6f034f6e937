"""Types of events nobody is known to be told of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from apps.eventlog.places import Line, position
from apps.eventlog.queries.lanes import lanes
from apps.eventlog.queries.plan import plan
from apps.eventlog.queries.totals import by_lane
from apps.traces.store import fetch

LOOKED_AT = 50  # newest events of a type
TYPES = 24  # the most frequent ones


class Untold(NamedTuple):
    """A type of which no delivery is known among its newest events."""

    type: str
    events: int
    seen: int  # of them that were looked at, the newest


def untold(line: Line, *, at: int, told: Collection[str], since: int = 0) -> list[Untold]:
    """Return the types published after `since` up to a position that nobody is known to be told of.

    told  types that somebody is known to be told of
    cost  for each of at most 24 types two walks of an index, of at most 50 events
    """
    known = lanes(line.system)
    of: defaultdict[str, list[int]] = defaultdict(list)
    for number, strings in known.items():
        if strings.kind == "event" and strings.type not in told:
            of[strings.type].append(number)
    every = frozenset(number for numbers in of.values() for number in numbers)
    counts = by_lane(plan(line, "", at=at, after=since), every) if every else {}
    amount = {name: sum(counts[n][0] for n in some if n in counts) for name, some in of.items()}
    names = sorted((n for n in amount if amount[n]), key=lambda name: (-amount[name], name))
    telling = [n for n, strings in known.items() if strings.kind == "delivery"]
    found = []
    for name in names[:TYPES]:
        newest = _newest(line, of[name], since, at)
        if newest and not _delivered(line, newest, telling, at):
            found.append(Untold(name, amount[name], len(newest)))
    return found


def _newest(line: Line, some: list[int], since: int, at: int) -> list[int]:
    """Return the newest positions of some lanes."""
    found: list[int] = []
    for lane in some:
        for part in reversed(line.within(since, at)):
            rows = fetch(
                "SELECT place FROM eventlog_event WHERE lane_id = %s AND place > %s AND place <= %s"
                " ORDER BY place DESC LIMIT %s",
                [lane, part.low, part.high, LOOKED_AT],
            )
            found += [position(place) for (place,) in rows]
            if len(rows) == LOOKED_AT:
                break
    return sorted(found, reverse=True)[:LOOKED_AT]


def _delivered(line: Line, events: list[int], telling: list[int], at: int) -> bool:
    """Return whether a delivery of any of these events is in the log."""
    if not telling:
        return False
    marks, numbers = ",".join(["%s"] * len(events)), ",".join(map(str, telling))
    return any(
        fetch(
            f"SELECT 1 FROM eventlog_event WHERE cause IN ({marks}) AND +lane_id IN ({numbers})"
            " AND +place > %s AND +place <= %s LIMIT 1",
            [*events, part.low, part.high],
        )
        for part in line.within(0, at)
    )
