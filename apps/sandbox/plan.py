"""A recipe made ready for the engine: what happens to which position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from apps.eventlog.envelope import Envelope
from apps.sandbox.edits import Edit
from apps.sandbox.making import made_id


class Plan:
    """The edits that are on, by position.

    other_code    services whose code is not the one that ran; what it does differently is wanted
    drop_orphans  leave out effects of what did not happen, where they are not worked out anew
    check         twice: make every delivery a second time; failing: let every call of a handler
                  fail once; swapped: let neighbours of one service change places
    """

    def __init__(
        self, edits: Iterable[Edit] = (), *, other_code: Iterable[str] = (),
        drop_orphans: bool = False, check: str = "",
    ) -> None:  # fmt: skip
        edits = [edit for edit in edits if edit.on]
        self.skips = frozenset(e.position for e in edits if e.op == "skip")
        self.changes = {e.position: bytes(e.data) for e in edits if e.op == "change"}
        self.moves = {e.position: e.after for e in edits if e.op == "move"}
        self.repeats = frozenset(e.position for e in edits if e.op == "repeat")
        self.delays = {e.position: e.ms * 1000 for e in edits if e.op == "delay"}
        self.inserts = [e for e in edits if e.op == "insert"]
        self.other_code = frozenset(other_code)
        self.drop_orphans, self.check = drop_orphans, check
        self._any = bool(edits) or bool(self.other_code) or bool(check)

    def __bool__(self) -> bool:
        """Whether this changes anything at all."""
        return self._any

    def inserted(self, edit: Edit, index: int, time: int) -> Envelope:
        """Return the event an edit inserts."""
        event: dict[str, Any] = edit.event
        return Envelope(
            type=event["type"], id=event.get("id") or made_id("inserted", edit.after, index),
            source=event.get("source", ""), kind=event.get("kind", "event"),
            stream=event.get("stream", ""), correlation=event.get("correlation", ""),
            causation=event.get("causation", ""), channel=event.get("channel", ""), time=time,
            data=msgspec.json.encode(event.get("data", {})),
        )  # fmt: skip
