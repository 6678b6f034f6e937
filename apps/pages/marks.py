"""The marks above the transport's bars, and which of them stand too close to be told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

CLOSE = 1.4  # percent of the width: 14 px of a usual window
MOST = 10  # bursts of failures that are marked
GRAVITY = ("err", "odd", "fork", "flag", "deploy")  # what wins where several stand in one place
NAMES = {
    "err": "Failures",
    "odd": "Anomaly",
    "fork": "Sandbox",
    "flag": "Bookmark",
    "deploy": "Deploy",
}


class Mark(NamedTuple):
    """One moment worth going to."""

    kind: str  # of GRAVITY
    position: int
    time: int  # µs
    text: str
    go: str = ""  # "next-failure": the exact position is looked up when somebody goes there

    @property
    def icon(self) -> str:
        """Its symbol."""
        return self.kind

    @property
    def name(self) -> str:
        """What kind of mark it is, in a word."""
        return NAMES[self.kind]


class Cluster(NamedTuple):
    """Marks in one place, the most serious first, and where that is, in percent."""

    marks: list[Mark]
    x: float

    @property
    def first(self) -> Mark:
        """What stands for all of them."""
        return self.marks[0]


def clusters(marks: Iterable[Mark], *, start: int, end: int) -> list[Cluster]:
    """Return the marks within [start, end) as clusters from left to right."""
    groups: list[list[tuple[float, Mark]]] = []
    for mark in sorted(marks, key=lambda m: m.time):
        if not start <= mark.time < end:
            continue
        x = 100 * (mark.time - start) / (end - start)
        if groups and x - groups[-1][0][0] < CLOSE:
            groups[-1].append((x, mark))
        else:
            groups.append([(x, mark)])
    return [
        Cluster(sorted((m for _, m in group), key=_gravity), round(min(group, key=_place)[0], 3))
        for group in groups
    ]


def _gravity(mark: Mark) -> tuple[int, int]:
    return GRAVITY.index(mark.kind), mark.time


def _place(entry: tuple[float, Mark]) -> tuple[int, int]:
    return _gravity(entry[1])


def bursts(failed: Sequence[int]) -> list[tuple[int, int]]:
    """Return (first bar, failures) of runs of bars with far more failures than usual.

    Where failures are rare each run is one; where they are common, bars with less than four times
    the mean do not count. The worst MOST runs, in order of time.
    """
    usual = sum(failed) / len(failed) if failed else 0
    least = max(1.0, 4 * usual)
    runs: list[tuple[int, int]] = []
    inside = False
    for bar, count in enumerate(failed):
        if count < least:
            inside = False
        elif inside:
            runs[-1] = (runs[-1][0], runs[-1][1] + count)
        else:
            inside = True
            runs.append((bar, count))
    return sorted(sorted(runs, key=lambda run: -run[1])[:MOST])
