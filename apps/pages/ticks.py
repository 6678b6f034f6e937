"""Where an axis of time gets its labels."""

from __future__ import annotations

from typing import NamedTuple

from apps.pages.words import DAY, HOUR, MINUTE, SECOND

STEPS = (
    1_000, 5_000, 10_000, 50_000, 100_000, 500_000,
    *(n * SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR for n in (1, 2, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 7, 14, 30, 91, 182, 365, 730, 1826, 3652, 36524)),
)  # fmt: skip


class Tick(NamedTuple):
    """One label of an axis."""

    x: str  # percent of the width
    time: int  # microseconds
    unit: str  # what to show: "ms", "s", "min" or "day"


def ticks(start: int, end: int, *, most: int = 12) -> list[Tick]:
    """Return at most `most` labels at round times within [start, end); [] for an empty span."""
    span = end - start
    if span <= 0:
        return []
    step = next((s for s in STEPS if span <= s * most), STEPS[-1] * (span // STEPS[-1] + 1))
    first = -(-start // step) * step
    return [Tick(percent(at - start, span), at, unit(step)) for at in range(first, end, step)][
        :most
    ]


def unit(step: int) -> str:
    """Return the smallest unit a label needs when labels are `step` apart."""
    if step >= DAY:
        return "day"
    return "min" if step >= MINUTE else "s" if step >= SECOND else "ms"


def percent(part: float, whole: float) -> str:
    """Return a place on an axis for an SVG attribute, kept within it: "55.528%"."""
    share = 100 * part / whole if whole else 0.0
    return f"{min(100.0, max(0.0, share)):.3f}".rstrip("0").rstrip(".") + "%"
