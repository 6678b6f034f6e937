"""How fast a run goes: as fast as possible, or at the recorded pace times a factor."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


class Pace:
    """Says how long to wait before an entry may happen."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._factor = float(options.get("factor", 1)) if options.get("speed") == "recorded" else 0
        self._began = time.monotonic()
        self._first: int | None = None

    def waits(self, us: int | None) -> bool:
        """Return whether an entry of this time has to wait."""
        return self.left(us) > 0

    def left(self, us: int | None) -> float:
        """Return how many seconds there are until an entry of this time is due."""
        if not self._factor or us is None:
            return 0.0
        if self._first is None:
            self._first = us
        due = self._began + (us - self._first) / 1_000_000 / self._factor
        return due - time.monotonic()
