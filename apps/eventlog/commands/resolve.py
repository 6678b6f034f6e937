"""Causes: from the id an effect names to the position of the event that has it.

An effect may arrive before its cause; it then waits in a table of its own, and the append that
brings the cause fills in the position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from apps.eventlog import seen, store
from apps.eventlog.commands import lookup, remember
from apps.eventlog.envelope import Envelope
from apps.eventlog.memory import Memory
from apps.eventlog.places import Segment, place, position

if TYPE_CHECKING:
    from apps.eventlog.commands.append import Row

CAUSE, CORRELATION, LANE = 4, 5, 7  # in a row to be written


class Causes:
    """The causes of a batch's events."""

    def __init__(self, row: Row, memory: Memory) -> None:
        self.row, self.memory = row, memory
        self._wanted: dict[int, tuple[int, int | None]] = {}  # index -> (digest, identity)
        self._found: dict[tuple[int, int | None], int] = {}  # before the tail
        self._correlations: dict[int, int | None] = {}  # position -> correlation, before the tail
        self._waiting: dict[int, list[tuple[list[Any], Envelope]]] = {}  # digest -> effects
        self._index = -1

    def prepare(self, envelopes: Sequence[Envelope], digests: Sequence[int]) -> None:
        """Look up every cause that neither the tail nor this batch holds."""
        tail = self.memory.tail
        ours = set(digests)
        far: set[tuple[int, int | None]] = set()
        for e in envelopes:
            if e.causation and e.cause is None:
                key = self._key(e)
                if tail.last_with_id(key[0]) is None and key[0] not in ours:
                    far.add(key)
        if far:
            self._search(sorted(far, key=repr))
        positions = {e.cause for e in envelopes if e.cause and e.kind == "delivery"}
        if any(e.kind == "delivery" for e in envelopes):
            positions |= set(self._found.values())
        self._load_correlations({p for p in positions if p <= tail.start})

    def _key(self, e: Envelope) -> tuple[int, int | None]:
        packed = seen.pack_id(e.causation)
        identity = (
            seen.identity_digest(packed, self.memory.seed(e.causation_source))
            if e.causation_source
            else None
        )
        return seen.id_digest(packed), identity

    def _search(self, keys: list[tuple[int, int | None]]) -> None:
        for part in remember.segments(self.row):
            digests = [digest for digest, _ in keys]
            filters = remember.filters_of(part.timeline, self.row, self.memory)
            found = lookup.in_runs(part.timeline, filters, digests, digests)
            rest = self._unsealed(part, filters, set(digests))
            for index, (digest, identity) in enumerate(keys):
                held = [p for p in found.get(index, []) if part.after < p <= part.upto]
                held += rest.get(digest, [])
                if identity is not None:
                    held = self._from_source(part, held, identity)
                if held:
                    self._found[digest, identity] = held[-1]

    def _unsealed(
        self, part: Segment, filters: seen.Filters, digests: set[int]
    ) -> dict[int, list[int]]:
        """Return where a parent's rows after its last full run hold digests."""
        if part.timeline == self.row.timeline:
            return {}  # our own tail is in memory
        start = max(part.after, (max(filters.runs, default=-1) + 1) * seen.RUN)
        held: dict[int, list[int]] = {}
        if start < part.upto:
            sql = "SELECT place, event_id FROM eventlog_event WHERE place > %s AND place <= %s"
            for key, packed in store.fetch(sql, [place(part.timeline, start), part.high]):
                if (digest := seen.id_digest(bytes(packed))) in digests:
                    held.setdefault(digest, []).append(position(key))
        return held

    def _from_source(self, part: Segment, positions: list[int], identity: int) -> list[int]:
        kept = []
        for clause, values in store.among(place(part.timeline, p) for p in positions):
            sql = f"SELECT place, lane_id, event_id FROM eventlog_event WHERE place {clause}"
            rows = store.fetch(sql, values)
            remember.know_lanes(self.row.system, self.memory, {lane for _, lane, _ in rows})
            for key, lane, packed in rows:
                seed = self.memory.seed(self.memory.strings[lane][2])
                if seen.identity_digest(bytes(packed), seed) == identity:
                    kept.append(position(key))
        return sorted(kept)

    def _load_correlations(self, positions: set[int]) -> None:
        keys = [
            place(part.timeline, p)
            for part in remember.segments(self.row)
            for p in positions
            if part.after < p <= part.upto
        ]
        for clause, values in store.among(keys):
            sql = f"SELECT place, correlation_id FROM eventlog_event WHERE place {clause}"
            self._correlations |= {position(key): c for key, c in store.fetch(sql, values)}

    def of(self, e: Envelope, last: int) -> int | None:
        """Return the position of an event's cause among the positions up to `last`, if known."""
        if e.cause is not None:
            return e.cause if 0 < e.cause <= last else None
        if not e.causation:
            return None
        key = self._key(e)
        if key[1] is None:
            near = self.memory.tail.last_with_id(key[0])
        else:
            near = next(reversed(self.memory.tail.with_identity(key[1])), None)
        return near if near is not None else self._found.get(key)

    def correlation(self, cause: int) -> int | None:
        """Return the correlation of a cause."""
        tail = self.memory.tail
        if tail.start < cause <= tail.head:
            return tail.correlation_at(cause)
        return self._correlations.get(cause)

    def wait(self, e: Envelope, row: list[Any]) -> None:
        """Let an effect wait for its cause."""
        self._waiting.setdefault(self._key(e)[0], []).append((row, e))

    def arrived(self, digest: int, source: str, at: int, correlation: int | None) -> None:
        """Fill in the cause of effects that came earlier in this batch."""
        still = []
        for row, e in self._waiting.pop(digest, ()):
            if e.causation_source not in {"", source}:
                still.append((row, e))
                continue
            row[CAUSE] = at
            if e.kind == "delivery" and row[CORRELATION] is None:
                row[CORRELATION] = correlation
        if still:
            self._waiting[digest] = still

    def write(self, rows: Sequence[list[Any]], digests: Sequence[int]) -> None:
        """Fill in the causes of effects that came in earlier batches; note those still waiting."""
        if self.memory.waiting is None:
            sql = "SELECT 1 FROM eventlog_waiting WHERE timeline = %s LIMIT 1"
            self.memory.waiting = bool(store.fetch(sql, [self.row.timeline]))
        if self.memory.waiting and rows:
            self._resolve(dict(zip(digests, rows, strict=True)))
        new = [
            (row[0], self.row.timeline, seen.signed(digest), e.causation, e.causation_source)
            for digest, effects in self._waiting.items()
            for row, e in effects
        ]
        if new:
            self.memory.waiting = True
            store.execute_many(
                "INSERT INTO eventlog_waiting (place, timeline, digest, causation, source)"
                " VALUES (%s, %s, %s, %s, %s)",
                new,
            )

    def _resolve(self, arrived: dict[int, list[Any]]) -> None:
        by_signed = {seen.signed(digest): row for digest, row in arrived.items()}
        done = []
        for clause, values in store.among(by_signed):
            sql = (
                "SELECT w.place, w.digest, w.source, e.lane_id FROM eventlog_waiting w"
                " JOIN eventlog_event e ON e.place = w.place"
                f" WHERE w.timeline = %s AND w.digest {clause}"
            )
            waiting = store.fetch(sql, [self.row.timeline, *values])
            remember.know_lanes(self.row.system, self.memory, {row[3] for row in waiting})
            for effect, digest, source, lane in waiting:
                cause = by_signed[digest]
                if source in {"", self.memory.strings[cause[LANE]][2]}:
                    delivery = self.memory.strings[lane][0] == "delivery"
                    inherited = cause[CORRELATION] if delivery else None
                    done.append((position(cause[0]), inherited, effect))
        store.execute_many(
            "UPDATE eventlog_event SET cause = %s, correlation_id = COALESCE(correlation_id, %s)"
            " WHERE place = %s",
            done,
        )
        store.execute_many(
            "DELETE FROM eventlog_waiting WHERE place = %s", [(effect,) for *_, effect in done]
        )
        for cause, inherited, effect in done:
            self.memory.tail.correct(position(effect), inherited)
