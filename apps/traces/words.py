"""Times, shares and names in the sentences about a trace."""

from __future__ import annotations

NBSP = "\u00a0"
SECOND = 1_000_000  # microseconds


def lasting(us: int) -> str:
    """Return a length of time: 3 ms, 0.61 s, 4.72 s, 12.5 s, 9 min 42 s, 5 h 47 min."""
    if us < 0:
        return "\u2212" + lasting(-us)
    if us < SECOND // 2:
        return f"{us}{NBSP}µs" if 0 < us < 1000 else f"{round(us / 1000)}{NBSP}ms"
    if us < 60 * SECOND:
        seconds = us / SECOND
        return f"{seconds:.{2 if seconds < 9.995 else 1}f}{NBSP}s"
    minutes, rest = divmod(us // SECOND, 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}{NBSP}h {minutes}{NBSP}min"
    return f"{grouped(hours // 24)}{NBSP}d {hours % 24}{NBSP}h"


def grouped(number: int) -> str:
    """Return a whole number in groups of three."""
    return f"{number:,}".replace(",", NBSP)


def percent(share: float) -> str:
    """Return a share in per cent, never 100.0 of less than all."""
    shown = min(share * 100, 99.9) if share < 1 else 100.0
    return f"{shown:.1f}{NBSP}%" if shown < 100 else f"100{NBSP}%"


def times(count: int) -> str:
    """Return "twice", "3 times"."""
    return "twice" if count == 2 else f"{count}{NBSP}times"
