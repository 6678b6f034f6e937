"""What was found of steps of time that no longer change, remembered as long as a process lives."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from django.db import connection

from apps.eventlog.places import Line
from apps.eventlog.queries import log

LINES = 64  # timelines and spans of which something is remembered

T = TypeVar("T")


class Steps(Generic[T]):
    """Reads each step, `log_time // span`, once: what is before the newest log_time stays as it is.

    most  steps remembered of each timeline and span; the oldest found are forgotten first
    none  makes the value of a step without events
    """

    def __init__(self, most: int, none: Callable[[], T]) -> None:
        self._most, self._none = most, none
        self._known: OrderedDict[tuple[int, int, int], dict[int, T]] = OrderedDict()
        self._guard = Lock()

    def over(
        self, line: Line, first: int, last: int, *, span: int,
        read: Callable[[int, int], dict[int, T]],
    ) -> dict[int, T]:  # fmt: skip
        """Return the values of first <= step <= last; `read` gives those of (after, upto].

        span  µs
        """
        known = self._of(line, span)
        found: dict[int, T] = {}
        for step in range(first, last + 1):
            if (value := known.get(step)) is None:  # another thread may be forgetting the oldest
                break
            found[step] = value
        missing = first + len(found)
        if missing > last:
            return found
        settled = (line.log_time or 0) // span  # this step may still grow
        after = log.position_at(line, missing * span - 1)
        upto = line.head if last >= settled else log.position_at(line, (last + 1) * span - 1)
        fresh = read(after, upto)
        late = {n: fresh[n] if n in fresh else self._none() for n in range(missing, last + 1)}
        self._keep(line, span, {n: value for n, value in late.items() if n < settled})
        return found | late

    def _of(self, line: Line, span: int) -> dict[int, T]:
        """Return what is known; nothing within a transaction, which may be rolled back."""
        if connection.in_atomic_block:
            return {}
        return self._known.get((line.timeline, line.forgotten, span), {})

    def _keep(self, line: Line, span: int, values: dict[int, T]) -> None:
        if connection.in_atomic_block:
            return
        key = (line.timeline, line.forgotten, span)
        with self._guard:
            known = self._known.setdefault(key, {})
            self._known.move_to_end(key)
            known.update(values)
            for step in [*known][: max(0, len(known) - self._most)]:
                del known[step]
            if len(self._known) > LINES:
                self._known.popitem(last=False)
