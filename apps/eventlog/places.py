"""One integer for (timeline, position), so that one key orders a timeline's events."""

from __future__ import annotations

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
