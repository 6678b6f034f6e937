"""A stretch of history in parts that can be left out: an input, with all that came of it by itself.

What services under test made of an input, and what is said of its deliveries, goes with it; what
others made of it is an input of its own.
"""

from __future__ import annotations

from collections import defaultdict

from apps.sandbox.edits import FIELDS, Edit
from apps.sandbox.recording import Recording

BY_ITSELF = frozenset({"delivery", "response"})


class Parts:
    """The inputs of a recording, and the entries that go with each."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._input: dict[int, int] = {}
        self.entries: dict[int, list[int]] = defaultdict(list)  # by input, in order
        for position in recording.entries:
            self.entries[self._input_of(position)].append(position)

    def _input_of(self, position: int) -> int:
        """Return the input an entry goes with. A cause comes before what it causes."""
        entry = self.recording.entries[position]
        by_itself = position in self.recording.derived or entry.kind in BY_ITSELF
        at = self._input.get(entry.cause or 0, position) if by_itself else position
        self._input[position] = at
        return at

    @property
    def inputs(self) -> list[int]:
        """The positions of all inputs, in order."""
        return list(self.entries)

    def flows(self, inputs: list[int]) -> list[list[int]]:
        """Return inputs by the flow they belong to, in order of their first."""
        found: dict[object, list[int]] = defaultdict(list)
        for position in inputs:
            found[self.recording.entries[position].correlation or position].append(position)
        return list(found.values())

    def kept(self, inputs: list[int]) -> Recording:
        """Return the recording of some inputs alone."""
        mine = self.recording
        positions = sorted(p for each in inputs for p in self.entries[each])
        return Recording(
            (mine.entries[p] for p in positions), base=mine.base, until=mine.until,
            handlers=mine.handlers, earlier=mine.earlier,
        )  # fmt: skip


def fitting(edits: list[Edit], recording: Recording) -> list[Edit]:
    """Return the edits that say something of what a recording has."""
    return [e for e in edits if "position" not in FIELDS[e.op] or e.position in recording.entries]
