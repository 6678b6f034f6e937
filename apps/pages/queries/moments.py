"""Where somebody stands in a timeline: from an address or a step to a position, and its time."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from apps.eventlog.envelope import Recorded, isoformat
from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries import facts, log
from apps.eventlog.queries.search import search
from apps.pages.words import DAY, HOUR, MINUTE, SECOND, place
from apps.traces.queries import traces

MOST_STEPS = 1000
EVENTS = "-kind:delivery,progress,span"  # steps go by events; deliveries and progress on demand
FAILURES = "outcome:failed,dead_lettered"
_UNITS = {"ms": 1000, "s": SECOND, "min": MINUTE, "m": MINUTE, "h": HOUR, "d": DAY}


class Moment(NamedTuple):
    """A place in a timeline. `time` is None before the first event and in an empty one."""

    position: int
    time: int | None
    live: bool = False
    problem: str = ""  # what was asked for and why this is not it
    found: bool = True


def moment(line: Line, text: str, *, base: int | None = None) -> Moment:
    """Return where `at=` leads: "" is live; what cannot be read leads there too, with the problem.

    Besides positions and full times: a time of day, and -30s or +5min.
    base  the position these are counted from (its day, its time); None is the live edge
    """
    text = text.strip()
    if not text:
        return Moment(line.head, line.log_time, live=True)
    try:
        position = log.moment(line, _full(line, text, line.head if base is None else base))
    except QueryError as error:
        return Moment(line.head, line.log_time, live=True, problem=error.message)
    number = text.removeprefix("#")
    if number.isdecimal() and int(number) > line.head:
        newest = place(line.head) if line.head else "nothing yet"
        return Moment(line.head, line.log_time, problem=(
            f"{place(int(number))} is not recorded yet; the newest is {newest}."
        ))  # fmt: skip
    return at(line, position)


def at(line: Line, position: int) -> Moment:
    """Return the moment of a position."""
    if position >= line.head:
        return Moment(line.head, line.log_time)
    return Moment(position, log.time_at(line, position))


def stepped(
    line: Line, start: int, go: str, *, n: int = 1, deliveries: bool = False, stream: str = "",
    trace: int = 0,
) -> Moment:  # fmt: skip
    """Return where a step leads: next, previous, next-failure, previous-failure; first.

    n           how many events to pass, capped
    deliveries  whether each delivery is a step too
    stream      next and previous go by the events of this stream alone
    trace       they go by the events of the trace that holds this position
    returns     `start` with `found` false where there is no failure that way; the last or first
                event where the steps lead beyond
    """
    n = max(1, min(n, MOST_STEPS))
    forward = go.startswith("next")
    if go == "first":
        return at(line, min(1, line.head))
    if go.endswith("-failure"):
        event = _beside(line, start, FAILURES, forward=forward, n=1)
        found = at(line, event.position if event else start)
        return found._replace(found=event is not None)
    if stream and "\0" not in stream and (number := facts.number(line, stream)) is not None:
        return _along(line, start, number, forward=forward, n=n)
    if trace and (view := traces.of_position(line, trace, upto=line.head)):
        return _through(line, start, view.entries(deliveries=deliveries), forward=forward, n=n)
    if deliveries:
        return at(line, max(min(1, line.head), min(line.head, start + (n if forward else -n))))
    event = _beside(line, start, EVENTS, forward=forward, n=n)
    return at(line, event.position if event else start)


def _along(line: Line, start: int, stream: int, *, forward: bool, n: int) -> Moment:
    if forward:
        rows = facts.around(line, stream, start, ahead=n, upto=line.head)
    else:
        rows = facts.around(line, stream, start - 1, back=n, upto=line.head)
    if not rows:
        return at(line, start)._replace(found=False)
    return at(line, rows[-1][0] if forward else rows[0][0])


def _through(line: Line, start: int, stops: Sequence[int], *, forward: bool, n: int) -> Moment:
    """Pass `n` of the stops, which are in order; no further than the last one that way."""
    here = bisect_right(stops, start) if forward else bisect_left(stops, start)
    ahead = stops[here : here + n] if forward else stops[max(0, here - n) : here]
    if not ahead:
        return at(line, start)._replace(found=False)
    return at(line, ahead[-1] if forward else ahead[0])


def _beside(line: Line, start: int, text: str, *, forward: bool, n: int) -> Recorded | None:
    bounds = {"after": start} if forward else {"before": start}
    page = search(line, text, limit=n, ascending=forward, **bounds)
    return page.events[-1] if page.events else None


def _full(line: Line, text: str, base: int) -> str:
    """Return `text` as `log.moment` reads it: times of day and distances become full times."""
    if re.fullmatch(r"#?[0-9]{1,3}([ \u00a0][0-9]{3})+", text):
        return re.sub(r"[ \u00a0]", "", text)
    clock = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}(?:\.[0-9]{1,6})?))?", text)
    # A "+" that was not escaped in an address arrives as a blank, and is then stripped.
    far = re.fullmatch(r"([+\-\u2212]?) ?([0-9]{1,9}) ?(ms|s|min|m|h|d)", text)
    if not (clock or far):
        return text
    standing = log.time_at(line, base)
    if standing is None:
        return text
    if far:
        us = standing + (-1 if far[1] in ("-", "\u2212") else 1) * int(far[2]) * _UNITS[far[3]]
    elif clock:
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3] or 0)
        us = standing // DAY * DAY + round(seconds * SECOND)
    return isoformat(us) if abs(us) < 10**17 else text
