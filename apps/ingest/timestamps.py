"""Times as producers write them, read in one place: databases and languages disagree on half of
the odd ones, so neither of them is asked.

Accepted is RFC 3339. What cannot be told back from the microseconds alone (another zone, digits
below a microsecond, a leap second, no zone at all) is flagged, and the caller keeps the text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

SECOND = 1_000_000  # µs
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOWEST = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
HIGHEST = (datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC) - EPOCH) // timedelta(microseconds=1)

RFC3339 = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})(?P<t>[Tt ])"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,64}))?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_LENGTHS = frozenset({20, *range(22, 28)})  # up to seconds, or with one to six digits after them
_REMEMBERED = 8192
_seconds: dict[str, int] = {}  # "2026-05-12T14:32:07" -> µs
_fractions: dict[str, int] = {}  # ".418Z" -> µs
# How far an epoch count may lie from 1970 before it must be of the next finer unit.
_EPOCHS = (
    (100_000_000_000, "epoch_s", SECOND, 1),
    (100_000_000_000_000, "epoch_ms", 1000, 1),
    (100_000_000_000_000_000, "epoch_us", 1, 1),
    (100_000_000_000_000_000_000, "epoch_ns", 1, 1000),
)


class BadTime(ValueError):
    """The text is no time that can be placed; the message says why and what is expected."""


class Timestamp(NamedTuple):
    """A moment in µs since 1970 UTC, and what its text says beyond that.

    flags  "no_zone" (taken as UTC), "offset" (another zone), "leap_second" (clamped to the last
           microsecond before it), "below_microseconds" (cut off), "form" (a spelling RFC 3339
           merely tolerates), "epoch_s" … "epoch_ns" (a count, unit by its size); () when
           the microseconds say it all
    """

    us: int
    flags: tuple[str, ...] = ()


def usual(text: str) -> int | None:
    """Return µs for a time in UTC as nearly all write it, None for anything to look at closely.

    Remembers the seconds and fractions it has seen: events come in order, so they repeat.
    """
    try:
        return _seconds[text[:19]] + _fractions[text[19:]]
    except KeyError:
        return _learn(text)


def _learn(text: str) -> int | None:
    # A slice over the marks, because fromisoformat also takes week dates, commas and no marks.
    if text[4:17:3] != "--T::" or text[-1] != "Z" or text[19:20] not in ".Z":
        return None
    if text[11:13] == "24" or len(text) not in _LENGTHS:
        return None
    try:
        since = datetime.fromisoformat(text) - EPOCH
    except ValueError:
        return None
    if len(_seconds) > _REMEMBERED or len(_fractions) > _REMEMBERED:
        _seconds.clear()
        _fractions.clear()
    second = _seconds[text[:19]] = (since.days * 86400 + since.seconds) * SECOND
    fraction = _fractions[text[19:]] = since.microseconds
    return second + fraction


def parse(text: str) -> Timestamp:
    """Return the moment `text` names.

    raises  BadTime for what is not RFC 3339 (a zone may be missing), for days and hours there are
            not, and for moments outside of the years 1 to 9999 UTC
    """
    us = usual(text)
    if us is not None:
        return Timestamp(us)
    found = RFC3339.fullmatch(text)
    if not found:
        raise _bad(text, "it is not RFC 3339")
    flags = ["form"] if found["t"] != "T" or found["zone"] == "z" else []
    second = int(found["second"])
    if second == 60:
        second, fraction = 59, "999999"
        flags.append("leap_second")
    else:
        fraction = found["fraction"] or ""
    if fraction[6:].strip("0"):
        flags.append("below_microseconds")
    try:
        day = datetime.fromisoformat(found["day"]).replace(tzinfo=UTC) - EPOCH
    except ValueError:
        raise _bad(text, f"there is no day {found['day']}") from None
    clock = _clock(text, int(found["hour"]), int(found["minute"]), second)
    us = day.days * 86400 * SECOND + clock + int(fraction[:6].ljust(6, "0"))
    us -= _offset(text, found["zone"], flags)
    if not LOWEST <= us <= HIGHEST:
        raise _bad(text, "in UTC it lies outside of the years 1 to 9999")
    return Timestamp(us, tuple(flags))


def from_epoch(count: int) -> Timestamp:
    """Return the moment `count` seconds, ms, µs or ns after 1970, by the size of the number.

    raises  BadTime for a count no unit brings into the years 1 to 9999
    """
    for bound, flag, times, per in _EPOCHS:
        if -bound < count < bound:
            us = count * times // per
            if LOWEST <= us <= HIGHEST:
                return Timestamp(us, (flag,))
            break
    raise _bad(str(count)[:40], "it is no count of seconds, ms, µs or ns since 1970")


def _clock(text: str, hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 59:
        raise _bad(text, "hours go from 00 to 23, minutes and seconds from 00 to 59")
    return ((hour * 60 + minute) * 60 + second) * SECOND


def _offset(text: str, zone: str | None, flags: list[str]) -> int:
    if zone is None:
        flags.append("no_zone")
        return 0
    if zone in "Zz" or zone == "+00:00":
        return 0
    flags.append("offset")
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise _bad(text, f"there is no offset {zone}")
    away = (hours * 60 + minutes) * 60 * SECOND
    return -away if zone[0] == "-" else away


def _bad(text: str, why: str) -> BadTime:
    return BadTime(
        f"time {text[:80]!r}: {why}; expected RFC 3339, such as 2026-05-12T14:32:07.418Z"
    )
