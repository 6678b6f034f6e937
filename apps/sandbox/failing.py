"""The handlers that failed in a run and did not when it was recorded: what of, and how often."""

from __future__ import annotations

from typing import Any

import msgspec

MOST = 100  # that are told apart
ERROR = 300  # letters


class Failure(msgspec.Struct):
    """One way a handler fails. `position` is that of an event it fails for, None for a new one."""

    service: str
    type: str
    error: str
    position: int | None = None
    count: int = 0


class Failures:
    """Failures as they come. Of those beyond the most that are told apart it is told how many."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Failure] = {}

    def note(self, service: str, type: str, error: str, ref: int) -> None:
        """Count a failure; `ref` stands for the event, a recorded one where it is positive."""
        key = service, type, error[:ERROR]
        if key not in self._known and len(self._known) >= MOST:
            key = service, type, "It fails in still other ways."
        found = self._known.setdefault(key, Failure(*key))
        found.count += 1
        if found.position is None and ref > 0:
            found.position = ref

    def rows(self) -> list[dict[str, Any]]:
        """Return what failed, the most frequent first."""
        found = sorted(self._known.values(), key=lambda f: (-f.count, f.service, f.type, f.error))
        rows: list[dict[str, Any]] = msgspec.to_builtins(found)
        return rows
