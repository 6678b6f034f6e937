"""What was reported of many events' deliveries at once, as short as a table of events needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line, position
from apps.eventlog.queries.lanes import Strings, lanes

LIMIT = 5000


class Report(NamedTuple):
    """One delivery: of which event, to whom, and how it ended."""

    event: int
    position: int
    subscriber: str
    outcome: str


class Reports(NamedTuple):
    """Deliveries by the position of their event; `complete` is false where there are more."""

    by_event: dict[int, list[Report]]
    complete: bool


def reports(
    line: Line,
    positions: Iterable[int],
    *,
    known: Mapping[int, Strings] | None = None,
    limit: int = LIMIT,
) -> Reports:
    """Return what was reported of the events at `positions`, up to the line's head, in order.

    known  the lanes of the system, where the caller has them
    limit  deliveries returned at most, capped at 5000
    cost   one query for each segment of the line
    """
    wanted, limit = list(positions), min(limit, LIMIT)
    known = lanes(line.system) if known is None else known
    strings = {n: lane for n, lane in known.items() if lane.kind == "delivery"}
    found: dict[int, list[Report]] = {}
    left = limit
    for part in line.segments if strings else ():
        for clause, values in store.among(wanted):
            rows = store.fetch(
                "SELECT place, cause, lane_id FROM eventlog_event"
                f" WHERE cause {clause} AND place > %s AND place <= %s ORDER BY place LIMIT %s",
                [*values, part.low, part.high, left + 1],
            )
            for place, cause, lane in rows[:left]:
                if lane in strings:
                    report = Report(
                        cause, position(place), strings[lane].source, strings[lane].type
                    )
                    found.setdefault(cause, []).append(report)
            if len(rows) > left:
                return Reports(found, False)
            left -= len(rows)
    return Reports(found, True)
