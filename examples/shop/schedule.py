"""The simulated clock: what is due next, in order of time and then of being planned."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Schedule:
    """Runs functions at their moments, in milliseconds since 1970.

    `now` never goes back. Two functions due at the same moment run in the order in which they
    were planned, so one seed gives one history.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self._due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._planned = 0

    def at(self, time: int, run: Callable[..., None], *args: Any) -> None:
        """Plan `run(*args)` for `time`; a moment already past means as soon as possible."""
        self._planned += 1
        heapq.heappush(self._due, (max(time, self.now), self._planned, run, args))

    def run(self, until: int) -> None:
        """Run everything due up to and including `until`, also what is planned on the way."""
        due, pop = self._due, heapq.heappop
        while due and due[0][0] <= until:
            self.now, _, run, args = pop(due)
            run(*args)
        self.now = max(self.now, until)

    def skip(self, ms: int) -> None:
        """Let `ms` pass in which nothing happens: all that is planned moves along."""
        self.now += ms
        # Adding the same to every key keeps the heap a heap.
        self._due = [(time + ms, order, run, args) for time, order, run, args in self._due]
