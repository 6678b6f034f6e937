"""How often each key may ask: a bucket of one second's worth, refilled all the time."""

from __future__ import annotations

import time
from collections.abc import Callable

from apps.ingest.problems import Refused

REMEMBERED = 10_000  # keys


class Rates:
    """Buckets by key. `rate` is in requests a second, 0 for no limit."""

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self._clock = rate, clock
        self._buckets: dict[int, tuple[float, float]] = {}  # key -> what was left, when

    def take(self, key: int) -> None:
        """Count one request of a key; Refused (429) when it had its share."""
        if not self.rate:
            return
        now = self._clock()
        left, at = self._buckets.get(key, (float(self.rate), now))
        left = min(self.rate, left + (now - at) * self.rate)
        if left < 1:
            raise Refused(
                429, "rate_limited",
                f"the key may ask {self.rate} times a second (EVDEBUG_KEY_RATE); send larger "
                "batches, or wait", retry_after=1,
            )  # fmt: skip
        if len(self._buckets) >= REMEMBERED and key not in self._buckets:
            self._buckets.clear()
        self._buckets[key] = (left - 1, now)
