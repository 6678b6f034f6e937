"""Times in texts, as microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import datetime

from apps.eventlog.envelope import isoformat, microseconds

_second: tuple[str, int] = ("", 0)


def microseconds_of(text: str | None) -> int | None:
    """Return an RFC 3339 time with a zone as µs since 1970; None where it is none."""
    global _second
    if not text:
        return None
    if len(text) == 24 and text[-1] == "Z" and text[:19] == _second[0]:
        fraction = text[20:23]
        if fraction.isdecimal():  # most times are of the same second as the one before
            return _second[1] + int(fraction) * 1000
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            return None
        us = microseconds(at)
    except (ValueError, OverflowError):
        return None
    if len(text) == 24 and text[-1] == "Z" and text[19] == ".":
        _second = text[:19], us - us % 1_000_000
    return us


def text_of(us: int) -> str:
    """Return µs since 1970 as RFC 3339."""
    return isoformat(us)
