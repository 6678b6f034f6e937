"""What edits do to states where no handler runs: only the streams they touch are folded again.

    switching = Switching(recording, before)
    switching.states(edits)        # {stream: its state at the end} of the streams edits touch

It is what a run comes to, without making one: an experiment with states alone is answered while a
switch is being thrown. With handlers a run is needed, as they may do anything with what is new.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from apps.eventlog.envelope import Recorded
from apps.projections.exact import MISSING
from apps.sandbox.edits import Edit
from apps.sandbox.known import merged
from apps.sandbox.plan import Plan
from apps.sandbox.recording import Recording

EVERY = 64  # events of a stream between two states that are kept
Key = tuple[int, int, int, int]  # slot, phase, time, and the order they are planned in
Place = tuple[Key, bytes]


class Switching:
    """The states at the end of a recording without executions, under edits.

    before  returns a stream's state at the fork point, MISSING where it had none
    """

    def __init__(
        self, recording: Recording, before: Callable[[str], Any], *, drop_orphans: bool = False
    ) -> None:  # fmt: skip
        assert not recording.executions, "handlers may do anything"
        self.recording, self._before, self._drop = recording, before, drop_orphans
        self._streams: dict[str, list[int]] = defaultdict(list)
        self._kept: dict[str, list[Any]] = {}  # states before the 1st, 65th, … event
        self._new: set[str] = set()
        self._places = {p: n for n, p in enumerate(recording.entries)}
        for position, entry in recording.entries.items():
            if entry.kind == "event" and entry.stream:
                self._streams[entry.stream].append(position)
                if entry.revision == 0:
                    self._new.add(entry.stream)

    def recorded(self, stream: str) -> Any:
        """Return a stream's state at the end as it was recorded."""
        return self._after(stream, len(self._streams.get(stream, [])))

    def states(self, edits: Iterable[Edit]) -> dict[str, Any]:
        """Return the states at the end of the streams that edits which are on touch."""
        plan = Plan(edits)
        gone = self._gone(plan)
        streams = self._touched(plan, gone)
        extra = self._inserted(plan)
        return {
            stream: self._state(stream, plan, gone, extra.get(stream, []))
            for stream in sorted(streams | extra.keys())
        }

    def _touched(self, plan: Plan, gone: dict[int, Key]) -> set[str]:
        named = {*plan.changes, *plan.moves, *plan.repeats, *plan.delays, *gone}
        entries = (self.recording.entries[p] for p in named)
        return {e.stream for e in entries if e.kind == "event" and e.stream}

    def _inserted(self, plan: Plan) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = defaultdict(list)
        for index, insert in enumerate(plan.inserts):
            time = self.recording.time_at(insert.after)
            made = plan.inserted(insert, index, time)
            if made.kind == "event" and made.stream:
                key = insert.after, 1, time, len(self._places) + index
                found[made.stream].append((key, made.data))
        return found

    def _key(self, entry: Recorded, plan: Plan) -> Key:
        """Return when an entry happens; see `Ledger._moved`."""
        recording, position = self.recording, entry.position
        n = self._places[position]
        if position in plan.moves:
            after = plan.moves[position]
            moved = recording.time_at(after) - recording.time_at(position)
            return after, 1, entry.time + moved, n
        if shift := plan.delays.get(position, 0):
            late = max(entry.time + shift, recording.time_at(position) + shift)
            return recording.slot_at(late), 1, entry.time + shift, n
        return position, 0, entry.time, n

    def _gone(self, plan: Plan) -> dict[int, Key]:
        """Return what does not happen, with when that shows; its effects where they are dropped."""
        entries, until = self.recording.entries, self.recording.until
        gone = {p: self._key(entries[p], plan) for p in plan.skips}
        todo = list(gone)
        while todo:
            at = todo.pop()
            for effect in self.recording.caused.get(at, ()) if self._drop else ():
                key = self._key(entries[effect], plan)
                if effect not in gone and gone[at] < key and key[0] <= until:
                    gone[effect] = key
                    todo.append(effect)
        return gone

    def _state(self, stream: str, plan: Plan, gone: dict[int, Key], extra: list[Place]) -> Any:
        """Fold a stream again, from the last state before what is another."""
        recorded, until = self._streams.get(stream, []), self.recording.until
        first = self._first(recorded, plan, gone, extra)
        places = list(extra)
        for position in recorded[first:]:
            if position in gone:
                continue
            entry = self.recording.entries[position]
            place = self._key(entry, plan), plan.changes.get(position, self._data(position))
            places += [place] * (2 if position in plan.repeats else 1)
        state = self._after(stream, first)
        for key, data in sorted(places, key=lambda place: place[0]):
            if key[0] <= until:
                state = merged(state, data)
        return state

    def _first(
        self, recorded: list[int], plan: Plan, gone: dict[int, Key], extra: list[Place]
    ) -> int:
        """Return before which of the recorded events of a stream nothing is another."""
        first = len(recorded)
        for key, _ in extra:
            first = min(first, bisect_right(recorded, key[0]))
        edited = (plan.changes, plan.moves, plan.repeats, plan.delays, gone)
        for position in {p for each in edited for p in each}:
            n = bisect_left(recorded, position)
            if n < len(recorded) and recorded[n] == position:
                first = min(first, n, bisect_right(recorded, plan.moves.get(position, position)))
        return first

    def _after(self, stream: str, count: int) -> Any:
        """Return the state after the first recorded events of a stream."""
        recorded = self._streams.get(stream, [])
        if stream not in self._kept:
            self._kept[stream] = [MISSING if stream in self._new else self._before(stream)]
        kept = self._kept[stream]
        begin = min(count // EVERY, len(kept) - 1)
        state = kept[begin]
        for n in range(begin * EVERY, count):
            if n // EVERY == len(kept):
                kept.append(state)
            state = merged(state, self._data(recorded[n]))
        return state

    def _data(self, position: int) -> bytes:
        return self.recording.entries[position].data or b""
