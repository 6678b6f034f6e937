"""What the State page shows of one field and of one event: where it changes, what its data was."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from apps.eventlog.places import Line
from apps.eventlog.queries import facts, log
from apps.pages.queries import beats
from apps.pages.queries.entity import visible_lines
from apps.projections import blame, exact
from apps.projections.exact import MISSING
from apps.projections.queries import coded
from apps.projections.queries.histories import walk
from apps.projections.queries.states import State, state_at, stream_number

FIELD_AHEAD = 500  # events looked at for the next change of a field


class Data(NamedTuple):
    """The last event's data as it came, and as reducers see it; "" where that is the same."""

    received: str
    upcast: str = ""
    version: int = 0
    error: str = ""


def data_of(line: Line, position: int) -> Data | None:
    """Return the data of an event as the Raw view shows it; None where there is none."""
    event = log.event(line, position) if position else None
    if event is None or event.data is None:
        return None
    received = _pretty(event.data)
    told = coded.upcast(event)
    if told is None:
        return Data(received)
    data, version, error = told
    return Data(received, _pretty(data.encode()) if data else "", version, error)


def _pretty(data: bytes) -> str:
    try:
        data = msgspec.json.format(data, indent=2)
    except msgspec.DecodeError:
        pass
    return visible_lines(data[:200_000].decode("utf-8", "replace"))


def changed_beside(
    line: Line, found: State, pointer: str, at: int
) -> tuple[int | None, int | None]:
    """Return the positions where a field changed last before `at`, and next after it.

    None where it did not; the next is looked for among the next FIELD_AHEAD events alone.
    """
    before = _set_at(found, pointer)
    if before == at:
        was = state_at(line, found.stream, at=at - 1, projection=found.projection, marks=True)
        before = _set_at(was, pointer)
    value, after = exact.at(found.state, pointer), None
    end = min(line.head, at + FIELD_AHEAD)
    if beats.by_stream(line, found.projection):
        ahead = facts.around(line, stream_number(line, found.stream), at, ahead=FIELD_AHEAD,
                             upto=line.head)  # fmt: skip
        end = ahead[-1][0] if ahead else at
    if end > at:
        steps = walk(line, found.stream, after=at, upto=end, projection=found.projection)
        next(steps)
        differ = (s.position for s in steps if not exact.same(exact.at(s.state, pointer), value))
        after = next(differ, None)
    return before, after


def _set_at(found: State, pointer: str) -> int | None:
    marks = exact.at(found.marks, pointer)
    return max(blame.flat(marks).values(), default=None) if marks is not MISSING else None
