"""The events that feed an entity around a moment: those of its stream, or of a read model's."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import facts, outlines
from apps.projections.queries import sources
from apps.projections.queries.histories import walk
from apps.projections.queries.states import MERGE, State, state_at, stream_number

LOOKED = 800  # positions on either side that are looked at for those of a read model


class Beat(NamedTuple):
    """One event in a history strip."""

    position: int
    time: int
    type: str
    source: str


def by_stream(line: Line, projection: str) -> bool:
    """Return whether a projection makes a state of one stream, rather than across streams.

    raises  UnknownProjection, BrokenCode
    """
    return projection in ("", MERGE) or sources.projection(line, projection).shape.by == "stream"


def of_stream(line: Line, stream: str, at: int, *, back: int = 0, ahead: int = 0) -> list[Beat]:
    """Return the events of a stream, deliveries and all, around a position."""
    number = stream_number(line, stream)
    rows = facts.around(line, number, at, back=back, ahead=ahead, upto=line.head)
    strings = facts.lanes(line, {lane for _, lane, _ in rows})
    return [
        Beat(position, time, strings[lane].type, strings[lane].source)
        for position, lane, time in rows
        if strings[lane].kind == "event"
    ]


def of_model(
    line: Line, stream: str, projection: str, at: int, *, back: int = 0, ahead: int = 0
) -> list[Beat]:
    """Return the events that feed a read model around a position, those LOOKED away at most."""
    found: list[int] = []
    if back:
        steps = walk(line, stream, after=max(0, at - LOOKED), upto=at, projection=projection)
        next(steps)
        found += [step.position for step in steps][-back:]
    if ahead and at < line.head:
        upto = min(line.head, at + LOOKED)
        steps = walk(line, stream, after=at, upto=upto, projection=projection)
        next(steps)
        found += [step.position for step in islice(steps, ahead)]
    return [Beat(o.position, o.time, o.type, o.source) for o in outlines.at(line, found)]


def beside(line: Line, found: State, at: int, *, model: bool) -> tuple[int | None, int | None]:
    """Return the positions of the events before `at` and after it that feed a state."""
    if model:
        last = found.last
        if last == at:
            last = state_at(line, found.stream, at=at - 1, projection=found.projection).last
        after = of_model(line, found.stream, found.projection, at, ahead=1)
        return last or None, after[0].position if after else None
    number = stream_number(line, found.stream)
    ends = [
        facts.around(line, number, at - 1, back=1, upto=line.head),
        facts.around(line, number, at, ahead=1, upto=line.head),
    ]
    before, after_ = (rows[0][0] if rows else None for rows in ends)
    return before, after_
