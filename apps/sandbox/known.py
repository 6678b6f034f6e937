"""The states of all entities as a run goes on: the log's up to the fork, and its own after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from apps.projections import merge
from apps.projections.exact import MISSING


class States:
    """Merged states by stream. What nobody reads is not worked out.

    before  returns a stream's state at the fork point, MISSING where it had none
    new     streams that begin after the fork point, so that nobody needs to ask
    """

    def __init__(self, before: Callable[[str], Any], new: frozenset[str] = frozenset()) -> None:
        self._before, self._new = before, new
        self._states: dict[str, Any] = {}
        self._waiting: dict[str, list[bytes]] = {}
        self._encoded: dict[str, bytes] = {}

    def apply(self, stream: str, data: bytes) -> None:
        """Take one event of a stream."""
        if not data:
            return
        self._encoded.pop(stream, None)
        if stream in self._states:
            self._states[stream] = merged(self._states[stream], data)
        else:
            self._waiting.setdefault(stream, []).append(data)

    def state(self, stream: str) -> Any:
        """Return a stream's state, MISSING before its first event. Never to be changed."""
        if stream not in self._states:
            state = MISSING if stream in self._new else self._before(stream)
            for data in self._waiting.pop(stream, ()):
                state = merged(state, data)
            self._states[stream] = state
        return self._states[stream]

    def encoded(self, stream: str) -> bytes:
        """Return a stream's state as JSON, {} where there is none."""
        if stream not in self._encoded:
            state = self.state(stream)
            self._encoded[stream] = msgspec.json.encode(state if isinstance(state, dict) else {})
        return self._encoded[stream]


def merged(state: Any, data: bytes) -> Any:
    """Return a state with an event's data merged over it; what is not JSON changes nothing."""
    try:
        return merge.apply(state, msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return state
