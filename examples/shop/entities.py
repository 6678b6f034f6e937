"""The state of every stream: its events merged one over the other (JSON merge patch, RFC 7396)."""

from __future__ import annotations

from typing import Any

KEPT = 20_000  # streams remembered; the ones longest without an event are forgotten first


def merge(state: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Merge `patch` into `state` and return it: objects merge, null removes, all else replaces.

    Mutation! `state` is changed, `patch` is not; what it holds may become part of the state.
    """
    for name, value in patch.items():
        if value is None:
            state.pop(name, None)
        elif isinstance(value, dict):
            before = state.get(name)
            state[name] = merge(before if isinstance(before, dict) else {}, value)
        else:
            state[name] = value
    return state


class Entities:
    """What is known of each stream. Bounded: see KEPT."""

    def __init__(self, kept: int = KEPT, *, always: str = "stock-") -> None:
        """always  streams whose names begin so are never forgotten"""
        self.kept = kept
        self.always = always
        self._states: dict[str, dict[str, Any]] = {}
        self._lasting: dict[str, dict[str, Any]] = {}

    def state(self, stream: str) -> dict[str, Any]:
        """Return the state of a stream, {} when it has none or it was forgotten."""
        return self._states.get(stream) or self._lasting.get(stream, {})

    def apply(self, stream: str, data: dict[str, Any]) -> None:
        """Merge one event of `stream`."""
        if stream.startswith(self.always):
            merge(self._lasting.setdefault(stream, {}), data)
            return
        # Taken out and put back, so that the first in the dict is the one longest without an event.
        self._states[stream] = merge(self._states.pop(stream, {}), data)
        if len(self._states) > self.kept:
            del self._states[next(iter(self._states))]
