"""Which stretch of time the transport shows, and how it is cut into bars."""

from __future__ import annotations

import re
from typing import NamedTuple

from apps.pages.ticks import STEPS

MS = 1000
SHORTEST = 1_000_000  # µs: a window is never shorter
MOST = 220  # bars
FURTHEST = 10**15  # ms since 1970: beyond any time the log holds


class Window(NamedTuple):
    """A stretch of time in whole bars: `start` and `end` are multiples of `step`, in µs."""

    start: int
    end: int
    step: int

    @property
    def bins(self) -> int:
        """How many bars it has."""
        return (self.end - self.start) // self.step

    def holds(self, us: int) -> bool:
        """Whether a moment can be seen in it."""
        return self.start <= us < self.end


def window(start: int, end: int, *, most: int = MOST) -> Window:
    """Return the window that holds `start` and `end` in at most `most` bars of a round length."""
    end = max(end, start + SHORTEST)
    step = next((s for s in STEPS if end - start <= s * (most - 2)), 0)
    if not step:
        step = -(-(end - start) // (most - 2) // STEPS[-1]) * STEPS[-1] + STEPS[-1]
    return Window(start // step * step, (end // step + 1) * step, step)


def asked(text: str) -> tuple[int, int] | None:
    """Return the window an address asks for, "ms..ms", as µs; None for none and for nonsense.

    "all" is left to whoever knows how long the recording is.
    """
    found = re.fullmatch(r"(-?[0-9]{1,16})\.\.(-?[0-9]{1,16})", text, re.ASCII)
    if not found:
        return None
    start, end = int(found[1]), int(found[2])
    if not -FURTHEST < start < end < FURTHEST:
        return None
    return start * MS, end * MS


def written(start: int, end: int) -> str:
    """Return a window as the address has it."""
    return f"{start // MS}..{-(-end // MS)}"


def zoomed(shown: Window, factor: float, around: int) -> str:
    """Return the window `factor` times as long around a moment, for a link."""
    span = max(SHORTEST, int((shown.end - shown.start) * factor))
    share = (around - shown.start) / (shown.end - shown.start) if shown.holds(around) else 0.5
    start = around - int(span * share)
    return written(start, start + span)
