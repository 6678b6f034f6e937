"""From moments to places on a line, with the quiet stretches folded away."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from apps.traces.words import lasting

QUIET = 1_500_000  # µs without anything happening that are folded
FOLDS = 6  # at most, the longest
FOLD = 7.0  # per cent of the width a fold takes
LEFT, RIGHT = 1.0, 96.5  # per cent: between them time is drawn
NICE = (1, 2, 5)


class Piece(NamedTuple):
    """A stretch of time and where it is drawn, in per cent."""

    begin: int
    end: int
    left: float
    right: float
    folded: bool

    @property
    def middle(self) -> float:
        """Where its label goes."""
        return (self.left + self.right) / 2

    @property
    def label(self) -> str:
        """How long it is."""
        return lasting(self.end - self.begin)


class Tick(NamedTuple):
    """A label of the axis."""

    x: float
    text: str


class Axis:
    """Places for moments from the first to the last; `fold` leaves quiet stretches narrow."""

    def __init__(self, moments: Iterable[int], *, fold: bool = True) -> None:
        times = sorted(set(moments)) or [0]
        self.begin, self.end = times[0], max(times[-1], times[0] + 1)
        gaps = [(b - a, a, b) for a, b in pairwise(times) if b - a > QUIET]
        quiet = sorted((a, b) for _, a, b in sorted(gaps, reverse=True)[:FOLDS]) if fold else []
        # A little of the quiet stays in view on either side, so that nothing touches the fold.
        quiet = [(a + (b - a) // 20, b - (b - a) // 20) for a, b in quiet]
        if sum(b - a for a, b in quiet) >= self.end - self.begin:
            quiet = []
        self.pieces = self._pieces(quiet)
        self._starts = [p.begin for p in self.pieces]

    def _pieces(self, quiet: list[tuple[int, int]]) -> list[Piece]:
        loud = self.end - self.begin - sum(b - a for a, b in quiet)
        scale = (RIGHT - LEFT - FOLD * len(quiet)) / loud
        made, at, x = [], self.begin, LEFT
        for a, b in quiet:
            if a > at:
                made.append(Piece(at, a, x, x + (a - at) * scale, False))
                x = made[-1].right
            made.append(Piece(a, b, x, x + FOLD, True))
            at, x = b, x + FOLD
        if self.end > at:
            made.append(Piece(at, self.end, x, x + (self.end - at) * scale, False))
        return made

    @property
    def folds(self) -> list[Piece]:
        """The stretches folded away."""
        return [p for p in self.pieces if p.folded]

    def x(self, moment: int) -> float:
        """Return where a moment is drawn, in per cent of the width."""
        moment = max(self.begin, min(moment, self.end))
        p = self.pieces[max(0, bisect_right(self._starts, moment) - 1)]
        return p.left + (p.right - p.left) * (moment - p.begin) / (p.end - p.begin)

    def ticks(self, count: int = 11) -> list[Tick]:
        """Return round labels, none too near another, in seconds from the beginning."""
        loud = sum(p.end - p.begin for p in self.pieces if not p.folded)
        step = next(s for e in range(15) for n in NICE if (s := n * 10**e) * count >= max(loud, 1))
        digits = max(0, 6 - (len(str(step)) - 1))
        made: list[Tick] = []
        for p in self.pieces:
            first = -(-(p.begin - self.begin) // step) * step + self.begin
            if p.folded or (p.end - first) // step > 4 * count:
                continue
            for at in range(first, p.end + 1, step):
                x = self.x(at)
                if not made or x - made[-1].x > 4.5:
                    made.append(Tick(x, f"{(at - self.begin) / 1e6:.{min(digits, 6)}f}"))
        return made
