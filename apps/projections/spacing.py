"""When a snapshot pays: when folding on from the last one takes longer than reading one."""

from __future__ import annotations

EVENT_US = 5.0  # folding one event, by measurement
BYTE_US = 0.004  # and per byte of its data
LOAD_US = 60.0  # reading a snapshot
STATE_BYTE_US = 0.02  # and per byte of state in it
LEAST_US = 500.0  # what a rewind may cost beyond reading a snapshot
SHARE = 50  # a snapshot costs at most 1/50 of the log's bytes


class Spacing:
    """Counts what folding has cost since the last snapshot."""

    __slots__ = ("bytes", "cost", "least", "size")

    def __init__(self, size: int = 0) -> None:
        """size  bytes of the last snapshot's state, 0 for none"""
        self.begin(size, 0)

    def begin(self, size: int, stored: int) -> None:
        """Start counting from a snapshot of `size` bytes that takes `stored` compressed."""
        self.cost = 0.0
        self.bytes = 0
        self.size = stored
        self.least = max(LEAST_US, LOAD_US + size * STATE_BYTE_US)

    def add(self, length: int) -> bool:
        """Count one event with `length` bytes of data; True when a snapshot may be due."""
        self.cost += EVENT_US + length * BYTE_US
        self.bytes += length + 100  # what a row takes besides
        return self.cost > self.least

    def affords(self, stored: int) -> bool:
        """Return whether a snapshot of `stored` bytes is small beside the events it stands for."""
        return stored * SHARE <= self.bytes
