"""Moments as people write them in a query: positions, times of day, dates, RFC 3339, ranges.

Times without a zone are UTC. A single moment is as wide as it was written: `at:14:30` is that
minute. As a bound it is an instant, but a date or a fraction of a second counts to its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from apps.eventlog.envelope import microseconds
from apps.eventlog.errors import QueryError
from apps.eventlog.terms import INTEGER, Value

DAY = 86_400_000_000  # µs
_CLOCK = r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(Z|z|[+-][0-9]{2}:[0-9]{2})?"
CLOCK = re.compile(_CLOCK + r"\Z")
DATE = re.compile(rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})(?:[Tt ]{_CLOCK})?\Z")


@dataclass(frozen=True, slots=True)
class Edge:
    """An inclusive bound: a position, or a time in µs; `daily` counts from midnight UTC."""

    at: int
    is_position: bool = False
    daily: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """The events from `low` to `high`, both included; None is open."""

    low: Edge | None = None
    high: Edge | None = None

    def holds(self, position: int, log_time: int) -> bool:
        """Return whether an event lies inside; the edges must be settled."""
        low, high = self.low, self.high
        if low and (position if low.is_position else log_time) < low.at:
            return False
        return not (high and (position if high.is_position else log_time) > high.at)


@dataclass(frozen=True, slots=True)
class _Moment:
    start: int
    width: int  # how long it is by itself
    end: int  # where it ends as a bound
    is_position: bool = False
    daily: bool = False


def window(operator: str, value: Value) -> Window:
    """Return what a value of `at` covers under an operator.

    raises  QueryError for what is no moment, with the value's column
    """
    text = value.literal
    if text is None:
        raise _wrong(value, "*")
    if operator in {":", "="}:
        first, dots, last = text.partition("..")
        if dots:
            if not (first or last):
                raise _wrong(value, text)
            return Window(
                _low(_moment(value, first)) if first else None,
                _high(_moment(value, last)) if last else None,
            )
        it = _moment(value, text)
        return Window(_low(it), Edge(it.start + it.width - 1, it.is_position, it.daily))
    it = _moment(value, text)
    if operator.startswith(">"):
        start = it.end + 1 if operator == ">" else it.start
        return Window(low=Edge(start, it.is_position, it.daily))
    end = it.start - 1 if operator == "<" else it.end
    return Window(high=Edge(end, it.is_position, it.daily))


def settled(window: Window, as_of: int) -> Window:
    """Return `window` with times of day put on a day: the last such time up to `as_of`.

    A range that starts before midnight ends after it.
    """
    low, high = window.low, window.high
    midnight = as_of - as_of % DAY
    if low and low.daily:
        at = midnight + low.at
        low = Edge(at if at <= as_of else at - DAY)
    if high and high.daily:
        floor = low.at if low and not low.is_position else None
        at = (midnight if floor is None else floor - floor % DAY) + high.at
        high = Edge(at if floor is None or at >= floor else at + DAY)
    return Window(low, high)


def _low(it: _Moment) -> Edge:
    return Edge(it.start, it.is_position, it.daily)


def _high(it: _Moment) -> Edge:
    return Edge(it.end, it.is_position, it.daily)


def _moment(value: Value, text: str) -> _Moment:
    if INTEGER.match(text):
        at = int(text.removeprefix("#"))
        return _Moment(at, 1, at, is_position=True)
    try:
        if clock := CLOCK.match(text):
            return _time_of_day(clock)
        if date := DATE.match(text):
            return _time(date)
    except (ValueError, OverflowError) as error:
        raise QueryError(f"{text!r} is no time there is: {error}.", column=value.column,
                         length=value.length) from None  # fmt: skip
    raise _wrong(value, text)


def _time_of_day(parts: re.Match[str]) -> _Moment:
    start, width, end = _clock(*parts.groups())
    start %= DAY
    return _Moment(start, width, start + end, daily=True)


def _time(parts: re.Match[str]) -> _Moment:
    year, month, day, *clock = parts.groups()
    midnight = microseconds(datetime(int(year), int(month), int(day), tzinfo=UTC))
    if clock[0] is None:
        return _Moment(midnight, DAY, midnight + DAY - 1)
    start, width, end = _clock(*clock)
    return _Moment(midnight + start, width, midnight + start + end)


def _clock(
    hour: str, minute: str, second: str | None, fraction: str | None, zone: str | None
) -> tuple[int, int, int]:
    """Return µs since midnight UTC, how wide the time is, and how far it reaches as a bound."""
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 59:
        raise ValueError("an hour is 00 to 23, a minute or second 00 to 59")
    at = timedelta(hours=int(hour), minutes=int(minute), seconds=int(second or 0)) - _offset(zone)
    start = at // timedelta(microseconds=1) + int((fraction or "").ljust(6, "0")[:6])
    if second is None:
        return start, 60_000_000, 0
    if not fraction:
        return start, 1_000_000, 0
    width = 10 ** max(6 - len(fraction), 0)
    return start, width, width - 1


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta(0)
    span = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    timezone(span)  # raises ValueError from 24 hours on
    return -span if zone[0] == "-" else span


def _wrong(value: Value, text: str) -> QueryError:
    return QueryError(
        f"{text!r} is no moment. Write a position (1284031), a time (14:32, 14:32:07.418, "
        "2026-05-12, 2026-05-12T14:32Z), or a range of them (14:30..14:32).",
        column=value.column, length=value.length,
    )  # fmt: skip
