"""One integer for (timeline, position), so that one key orders a timeline's events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

BITS = 40  # positions below 1.1e12, timelines below 8.3e6
MASK = (1 << BITS) - 1


def place(timeline: int, position: int) -> int:
    """Return the key of an event."""
    return timeline << BITS | position


def position(key: int) -> int:
    """Return the position in a key."""
    return key & MASK


class Segment(NamedTuple):
    """The positions `after` < p <= `upto` of one timeline's own rows."""

    timeline: int
    after: int
    upto: int

    @property
    def low(self) -> int:
        """The key all rows of the segment lie above."""
        return place(self.timeline, self.after)

    @property
    def high(self) -> int:
        """The key of the segment's last row."""
        return place(self.timeline, self.upto)


class Line(NamedTuple):
    """One timeline at one moment: what every query takes as its subject.

    `segments` covers positions 1..head in order: a fork's line starts with its parent's rows up
    to `base` and goes on with its own.
    """

    timeline: int
    system: int
    slug: str
    name: str
    head: int
    log_time: int | None
    base: int
    parent: int | None
    forgotten: int
    segments: tuple[Segment, ...]

    def within(self, after: int, upto: int) -> list[Segment]:
        """Return the parts of the segments that hold positions `after` < p <= `upto`."""
        cut = (Segment(s.timeline, max(s.after, after), min(s.upto, upto)) for s in self.segments)
        return [s for s in cut if s.after < s.upto]

    def places(self, positions: Iterable[int]) -> list[int]:
        """Return the keys of `positions`, leaving out what the line does not hold."""
        return [
            place(s.timeline, p) for p in positions for s in self.segments if s.after < p <= s.upto
        ]
