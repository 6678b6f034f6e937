"""A bar on a terminal: how far, how fast, how long still."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 24
EVERY_S = 0.1


class Progress:
    """Draws on `out` where that is a terminal, and says nothing elsewhere."""

    def __init__(
        self, out: TextIO, total: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`total` is in the unit of `show`'s `done`; 0 when it is not known."""
        self._out, self._total, self._clock = out, total, clock
        self._began = clock()
        self._drawn = -EVERY_S
        self._on = out.isatty()

    def show(self, done: int, events: int) -> None:
        """Draw the bar anew, at most ten times a second."""
        now = self._clock()
        if not self._on or now - self._drawn < EVERY_S:
            return
        self._drawn = now
        self._out.write("\r" + self.line(done, events, now - self._began) + "\x1b[K")
        self._out.flush()

    def line(self, done: int, events: int, elapsed: float) -> str:
        """Return the bar as text."""
        rate = events / elapsed if elapsed > 0 else 0
        text = f"{events:,} events, {rate:,.0f}/s"
        if not self._total:
            return text
        part = min(done / self._total, 1)
        filled = round(part * WIDTH)
        left = f", {_span(elapsed * (1 - part) / part)} left" if part > 0 else ""
        return f"[{'#' * filled}{'.' * (WIDTH - filled)}] {part:4.0%} {text}{left}"

    def end(self) -> None:
        """Take the bar away."""
        if self._on:
            self._out.write("\r\x1b[K")
            self._out.flush()


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
