"""How long things take, step by step: handling, waiting to be handled, and what buses say of lag.

A level is kept as a sum of logarithms, so that steps can be put together and one outlier among
many is no more than that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import log2
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.places import Line
from apps.eventlog.queries.lanes import Strings, lanes
from apps.eventlog.queries.steps import Steps
from apps.eventlog.told import read, took

READ = 200_000  # positions one call looks at, at most; of more only the last
PAGE = 10_000  # of these read at once, with their data
LONGEST = 64 * 1024  # bytes of data that are read; who tells more tells no times
STEPS = 1000  # whose levels are remembered, of each timeline

# What is added before the logarithm, so that what nobody would notice does not count as a change.
FLOORS = {"latency": 5_000, "wait": 100_000, "lag": 20}  # µs, µs, events


class What(NamedTuple):
    """What a level is of: `latency` or `wait` of a subscriber, or the `lag` of one on a channel."""

    code: str
    subscriber: str
    channel: str = ""


class Level(NamedTuple):
    """What was measured in one step."""

    measures: int
    total: float  # of `scaled` values


Levels = dict[int, dict[What, Level]]  # log_time // span -> what -> level
_levels = Steps[dict[What, Level]](STEPS, dict)


def scaled(code: str, value: float) -> float:
    """Return a measure as it is summed up."""
    return log2(max(0.0, value) + FLOORS[code])


def unscaled(code: str, value: float) -> float:
    """Return the measure that `scaled` made a value of."""
    return max(0.0, float(2.0**value) - FLOORS[code])


def levels(line: Line, first: int, last: int, *, span: int) -> Levels:
    """Return the levels of the spans first <= log_time // span <= last (µs); of many events a part.

    What is before the newest log_time does not change, so each span is read once by a process.
    """

    def read(after: int, upto: int) -> Levels:
        return _read(line, max(after, upto - READ), upto, span)

    return _levels.over(line, first, last, span=span, read=read)


def _read(line: Line, after: int, upto: int, span: int) -> Levels:
    found: defaultdict[int, dict[What, Level]] = defaultdict(dict)
    for at, what, value in _measured(line, after, upto):
        step, level = found[at // span], Level(1, scaled(what.code, value))
        if what in step and what.code != "lag":  # of a lag the last one told counts
            before = step[what]
            level = Level(before.measures + 1, before.total + level.total)
        step[what] = level
    return found


def _measured(line: Line, after: int, upto: int) -> Iterator[tuple[int, What, float]]:
    """Yield (log_time, what, value) of what was told between two positions."""
    telling = {n: lane for n, lane in lanes(line.system).items() if _tells(lane)}
    if not telling:
        return
    among = ",".join(map(str, telling))
    pages = ((low, min(low + PAGE, upto)) for low in range(after, upto, PAGE))
    for part in (part for page in pages for part in line.within(*page)):
        rows = store.fetch(
            f"SELECT d.log_time, d.lane_id, CASE WHEN length(d.data) <= {LONGEST} THEN d.data END,"
            " c.log_time FROM eventlog_event d"
            " LEFT JOIN eventlog_event c ON c.place = %s + d.cause"
            f" WHERE d.place > %s AND d.place <= %s AND d.lane_id IN ({among})"
            " ORDER BY d.place",
            [part.timeline << 40, part.low, part.high],
        )
        for at, number, data, caused in rows:
            yield from _values(telling[number], at, None if data is None else bytes(data), caused)


def _tells(lane: Strings) -> bool:
    told = lane.kind == "delivery" and lane.type in ("handled", "skipped", "failed")
    return told or lane.kind == "progress"


def _values(
    lane: Strings, at: int, data: bytes | None, caused: int | None
) -> Iterator[tuple[int, What, float]]:
    told, subscriber = read(data), lane.source.removeprefix("/") or lane.source
    if lane.kind == "progress":
        if told.lag is not None:
            yield at, What("lag", subscriber, lane.channel), told.lag
        return
    taken = took(told)
    if taken is not None:
        yield at, What("latency", subscriber), taken
    if caused is not None and told.attempt in (None, 1):
        yield at, What("wait", subscriber), max(0, at - caused - (taken or 0))
