"""Numbers, times and names as a person reads them: DESIGN's words in one place."""

from __future__ import annotations

import re
from datetime import datetime

from apps.eventlog.envelope import moment

NBSP = "\u00a0"
MINUS = "\u2212"
SECOND = 1_000_000  # microseconds
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# What a screen would act on instead of show: controls, invisible characters, and the marks that
# turn the direction of writing and could make a name read as another.
_UNSEEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


def grouped(number: int) -> str:
    """Return a number in groups of three with a no-break space and a true minus: 1 308 517."""
    return f"{number:,}".replace(",", NBSP).replace("-", MINUS)


def place(position: int) -> str:
    """Return a position as it is written everywhere: #1 284 031."""
    return "#" + grouped(position)


def plural(number: int, one: str, many: str = "") -> str:
    """Return "1 event", "2 134 events"."""
    return f"{grouped(number)}{NBSP}{one if number == 1 else many or one + 's'}"


def percent(part: float, whole: float) -> str:
    """Return a share as "98.9 %"; "" of nothing."""
    return f"{100 * part / whole:.1f}{NBSP}%" if whole else ""


def factor(value: float) -> str:
    """Return "3.1×"."""
    return f"{value:.1f}×"


def rate(count: float, span: int) -> str:
    """Return events per second over `span` microseconds, two significant digits.

    Below 0.1/s it is per minute; "" for an empty span.
    """
    if span <= 0:
        return ""
    per_second = count * SECOND / span
    value, unit = (per_second, "s") if per_second >= 0.1 or not count else (per_second * 60, "min")
    digits = "#.2g" if value and unit == "s" else ".2g"  # 4.0/s, but 3/min
    text = f"{value:{digits}}" if value < 9.95 else grouped(round(value))
    return f"{text}/{unit}"


def duration(us: int) -> str:
    """Return a length of time: 3 ms, 4.72 s, 9 min 42 s, 5 h 47 min, 2 d 4 h."""
    if us < 0:
        return MINUS + duration(-us)
    if us < 1000 and us:
        return f"{us}{NBSP}µs"
    if us < 999_500:
        return f"{round(us / 1000)}{NBSP}ms"
    if us < MINUTE:
        seconds = us / SECOND
        return f"{seconds:.{2 if seconds < 9.995 else 1}f}{NBSP}s"
    for big, small, names in ((MINUTE, SECOND, ("min", "s")), (HOUR, MINUTE, ("h", "min"))):
        if us < 60 * big and (big != HOUR or us < DAY):
            return f"{us // big}{NBSP}{names[0]} {us % big // small}{NBSP}{names[1]}"
    return f"{grouped(us // DAY)}{NBSP}d {us % DAY // HOUR}{NBSP}h"


def step(us: int) -> str:
    """Return a round length of time as short as it can be: 6 s, 2 min, 12 h, 7 d."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if us >= unit and us % unit == 0:
            return f"{grouped(us // unit)}{NBSP}{name}"
    return duration(us)


def size(count: int) -> str:
    """Return a number of bytes: 214 bytes, 12.4 KB, 9.8 MB (of 1024)."""
    if count < 1024:
        return plural(count, "byte")
    value, units = count / 1024, iter(("KB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 1024 and unit != "TB":
        value, unit = value / 1024, next(units)
    return f"{value:.1f}{NBSP}{unit}"


def clock(us: int) -> str:
    """Return the time of day in UTC with milliseconds, never rounded up: 14:32:07.418."""
    return moment(us).strftime("%H:%M:%S.%f")[:-3]


def day(us: int) -> str:
    """Return the date in UTC: 12 May 2026."""
    at: datetime = moment(us)
    return f"{at.day}{NBSP}{at:%b}{NBSP}{at.year}"


def visible(text: str) -> str:
    """Return `text` with every character that cannot be seen written out, as in \\u202e.

    Blanks, also wide ones, stay; so do letters of all scripts and emoji.
    """
    return _UNSEEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
