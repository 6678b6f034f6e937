"""How fast somebody may try: so many at once, then so many a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

REMEMBERED = 10_000  # names, so that many of them cannot fill the memory


class Pace:
    """One allowance per name. From several threads at once, a try too many may slip through."""

    def __init__(
        self, *, burst: int, per_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._per_s, self._clock = burst, per_s, clock
        self._left: dict[str, tuple[float, float]] = {}  # name -> what was left, when

    def take(self, name: str) -> int:
        """Count one try and return 0, or the seconds to wait when there were too many."""
        now = self._clock()
        left, at = self._left.get(name, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_s)
        if left < 1:
            return math.ceil((1 - left) / self._per_s)
        if len(self._left) >= REMEMBERED and name not in self._left:
            self._left.clear()
        self._left[name] = (left - 1, now)
        return 0

    def forget(self) -> None:
        """Give everybody their whole allowance back."""
        self._left.clear()
