"""A progress bar on stderr: how far, how fast, how long still."""

from __future__ import annotations

import sys
from collections.abc import Callable
from shutil import get_terminal_size
from time import monotonic
from typing import TextIO

WIDEST, NARROWEST = 28, 5  # characters of the bar
ERASE = "\x1b[K"  # what is left of a longer line before
ON_TERMINAL = 0.1  # seconds between two drawings
ELSEWHERE = 5.0


class Progress:
    """Draws a bar on a terminal and, now and then, a line anywhere else."""

    def __init__(
        self, label: str, *, stream: TextIO | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self.label = label
        self.stream = stream or sys.stderr
        self.clock = clock
        self.terminal = self.stream.isatty()
        self._began = self._drawn = clock()

    def update(self, share: float, count: int) -> None:
        """Show that `share` (0 to 1) is done, `count` entries so far."""
        now = self.clock()
        if now - self._drawn >= (ON_TERMINAL if self.terminal else ELSEWHERE):
            self._drawn = now
            self._write(self._text(min(share, 1.0), count), "\r" if self.terminal else "\n")

    def finish(self, count: int) -> None:
        took = self.clock() - self._began
        rate = count / took if took > 0 else 0
        text = f"{self.label}: {grouped(count)} entries in {took:.1f} s, {grouped(round(rate))}/s"
        self._write(text, "\n")

    def _text(self, share: float, count: int) -> str:
        took = max(self.clock() - self._began, 1e-9)
        left = f"{took / share - took:.0f} s left" if share else "…"
        rate = grouped(round(count / took))
        text = f"{share:4.0%} {grouped(count):>9} {rate:>8}/s  {left:9}"
        room = get_terminal_size().columns - len(self.label) - len(text) - 5
        if not self.terminal or room < NARROWEST:
            return f"{self.label} {text}".rstrip()
        width = min(room, WIDEST)
        filled = round(share * width)
        bar = f"[{'#' * filled}{'.' * (width - filled)}]"
        return f"{self.label} {bar} {text}".rstrip()

    def _write(self, text: str, end: str) -> None:
        self.stream.write(text + (ERASE if self.terminal else "") + end)
        self.stream.flush()


def grouped(number: int) -> str:
    """Return a number in groups of three, 1 308 517, with no-break spaces."""
    return f"{number:,}".replace(",", "\u00a0")
