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
LANE, STREAM, PACKED, DATA = 7, 6, 10, 15  # in a row to be written


class Repeats:
    """Which envelopes of a batch the timeline, or the batch itself, held before."""

    def __init__(self, row: Row, memory: Memory) -> None:
        self.row, self.memory = row, memory
        self.conflicts: dict[int, int] = {}
        self._earlier: dict[int, list[int]] = {}  # index -> positions before this batch
        self._contents: dict[int, Content] = {}
        self._seen: Counter[int] = Counter()
        self._flags: list[tuple[int, int]] = []

    def prepare(self, digests: Sequence[int], identities: Sequence[int]) -> None:
        """Find what the timeline held before this batch."""
        tail = self.memory.tail
        self._earlier = lookup.in_runs(
            self.row.timeline, self.memory.by_identity, identities, digests, checks=identities
        )
        for index, identity in enumerate(identities):
            if tail.has_identity(identity):
                self._earlier.setdefault(index, []).extend(tail.with_identity(identity))
        wanted = {p for positions in self._earlier.values() for p in positions}
        for clause, values in store.among(place(self.row.timeline, p) for p in wanted):
            sql = (
                "SELECT place, lane_id, stream_id, event_id, data FROM eventlog_event"
                f" WHERE place {clause}"
            )
            for key, lane, stream, packed, data in store.fetch(sql, values):
                held = None if data is None else bytes(data)
                self._contents[position(key)] = (lane, stream, bytes(packed), held)
        remember.know_lanes(self.row.system, self.memory, {c[0] for c in self._contents.values()})

    def of(
        self, index: int, envelope: Envelope, packed: bytes, identity: int, rows: list[list[Any]]
    ) -> int | None:
        """Return the position of the first occurrence of a duplicate, None for anything new."""
        if index not in self._earlier and not self.memory.tail.has_identity(identity):
            return None
        first = None
        for earlier in self._positions(index, identity):
            lane, stream, held, data = self._content(earlier, rows)
            kind, type_, source = self.memory.strings[lane][:3]
            if held != packed or source != envelope.source:
                continue  # another event with the same digest
            if data is None or (
                data == envelope.data
                and kind == envelope.kind
                and type_ == envelope.type
                and stream == (self.memory.streams[envelope.stream] if envelope.stream else None)
            ):
                self._seen[earlier] += 1
                return earlier
            first = first or earlier
        if first is not None:
            self.conflicts[index] = first
            new = self.row.head + len(rows) + 1
            self._flags.append((place(self.row.timeline, new), first))
        return None

    def _positions(self, index: int, identity: int) -> list[int]:
        batch = [p for p in self.memory.tail.with_identity(identity) if p > self.row.head]
        return self._earlier.get(index, []) + batch

    def _content(self, earlier: int, rows: list[list[Any]]) -> Content:
        if earlier <= self.row.head:
            return self._contents[earlier]
        row = rows[earlier - self.row.head - 1]
        return row[LANE], row[STREAM], row[PACKED], row[DATA]

    def write(self) -> None:
        """Count the duplicates and flag the conflicts."""
        store.execute_many(
            "INSERT INTO eventlog_repeat (place, seen) VALUES (%s, %s) ON CONFLICT (place)"
            " DO UPDATE SET seen = eventlog_repeat.seen + excluded.seen - 1",
            [(place(self.row.timeline, p), n + 1) for p, n in self._seen.items()],
        )
        store.execute_many(
            "INSERT INTO eventlog_conflict (place, earlier) VALUES (%s, %s)", self._flags
        )
