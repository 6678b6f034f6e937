"""Duplicates: same source and id, same content. Other content is a conflict, and is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from apps.eventlog import store
from apps.eventlog.commands import lookup, remember
from apps.eventlog.envelope import Envelope
from apps.eventlog.memory import Memory
from apps.eventlog.places import place, position

if TYPE_CHECKING:
    from apps.eventlog.commands.append import Row

Content = tuple[Any, ...]  # lane, stream, packed id, data


class Repeats:
    """Which envelopes of a batch the timeline, or the batch itself, held before."""

    def __init__(self, row: Row, memory: Memory) -> None:
        self.row, self.memory = row, memory
        self.stored: dict[int, int] = {}  # index of a duplicate -> position of the first one
        self.inner: dict[int, int] = {}  # index of a duplicate -> index of the first one
        self.conflicts: dict[int, int] = {}  # index -> position of the earlier one
        self._inner_conflicts: dict[int, int] = {}  # index -> index of the earlier one
        self._contents: dict[int, Content] = {}

    def find(
        self,
        envelopes: Sequence[Envelope],
        packed: Sequence[bytes],
        digests: Sequence[int],
        identities: Sequence[int],
    ) -> bool:
        """Tell duplicates and conflicts apart from what is new; return whether there are any."""
        earlier = self._earlier(digests, identities)
        if not earlier and len(set(identities)) == len(identities):
            return False
        self._load({p for positions in earlier.values() for p in positions})
        new: dict[int, list[int]] = {}  # identity -> indexes that are kept
        for index, identity in enumerate(identities):
            e = envelopes[index]
            if not self._known(index, e, packed[index], earlier.get(index, ())):
                kept = new.setdefault(identity, [])
                if (first := _same(envelopes, index, kept)) is not None:
                    self.inner[index] = first
                    self.conflicts.pop(index, None)  # it is the conflicting one once more
                else:
                    if index not in self.conflicts and kept:
                        self._inner_conflicts[index] = kept[0]
                    kept.append(index)
        return True

    def _earlier(self, digests: Sequence[int], identities: Sequence[int]) -> dict[int, list[int]]:
        tail = self.memory.tail
        found = lookup.in_runs(
            self.row.timeline, self.memory.by_identity, identities, digests, checks=identities
        )
        if tail.has_any_identity(identities):
            for index, identity in enumerate(identities):
                if held := tail.with_identity(identity):
                    found.setdefault(index, []).extend(held)
        return found

    def _load(self, positions: set[int]) -> None:
        for clause, values in store.among(place(self.row.timeline, p) for p in positions):
            sql = (
                "SELECT place, lane_id, stream_id, event_id, data FROM eventlog_event"
                f" WHERE place {clause}"
            )
            for key, lane, stream, packed, data in store.fetch(sql, values):
                held = None if data is None else bytes(data)
                self._contents[position(key)] = (lane, stream, bytes(packed), held)
        remember.know_lanes(self.row.system, self.memory, {c[0] for c in self._contents.values()})

    def _known(self, index: int, e: Envelope, packed: bytes, earlier: Sequence[int]) -> bool:
        """Note a duplicate of, or else a conflict with, what the timeline held before."""
        other = []
        stream_of_e = self.memory.streams[e.stream] if e.stream else None
        for at in earlier:
            lane, stream, held, data = self._contents[at]
            kind, type_, source = self.memory.strings[lane][:3]
            if held != packed or source != e.source:
                continue  # another event with the same digest
            content = (data, kind, type_, stream)
            if data is None or content == (e.data, e.kind, e.type, stream_of_e):
                self.stored[index] = at
                return True
            other.append(at)
        if other:
            self.conflicts[index] = other[0]
        return False

    def write(self, positions: Sequence[int]) -> None:
        """Count the duplicates and flag the conflicts; `positions` are those of all envelopes."""
        self.conflicts |= {i: positions[first] for i, first in self._inner_conflicts.items()}
        firsts = [*self.stored.values(), *(positions[i] for i in self.inner.values())]
        timeline = self.row.timeline
        store.execute_many(
            "INSERT INTO eventlog_repeat (place, seen) VALUES (%s, %s) ON CONFLICT (place)"
            " DO UPDATE SET seen = eventlog_repeat.seen + excluded.seen - 1",
            [(place(timeline, p), n + 1) for p, n in sorted(Counter(firsts).items())],
        )
        store.execute_many(
            "INSERT INTO eventlog_conflict (place, earlier) VALUES (%s, %s)",
            [(place(timeline, positions[i]), first) for i, first in self.conflicts.items()],
        )


def _same(envelopes: Sequence[Envelope], index: int, kept: Sequence[int]) -> int | None:
    """Return which of the `kept` envelopes has the content of the one at `index`."""
    e = envelopes[index]
    for first in kept:
        other = envelopes[first]
        if (e.id, e.source, e.data, e.kind, e.type, e.stream) == (
            other.id, other.source, other.data, other.kind, other.type, other.stream,
        ):  # fmt: skip
            return first
    return None
