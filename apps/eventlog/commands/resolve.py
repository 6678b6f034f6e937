"""Causes: from the id an effect names to the position of the event that has it.

An effect may arrive before its cause; it then waits in a table of its own, and the append that
brings the cause fills in the position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from apps.eventlog import seen, store
from apps.eventlog.commands import lookup, remember
from apps.eventlog.envelope import Envelope, inherits
from apps.eventlog.memory import Memory
from apps.eventlog.places import Segment, place, position

if TYPE_CHECKING:
    from apps.eventlog.commands.append import Row

Digests = tuple[int, int | None]  # of an id, and of (source, id) where the source is known
CAUSE, CORRELATION, LANE = 4, 5, 7  # in a row to be written


class Causes:
    """The causes of a batch's new events, which will be at `first` and after."""

    def __init__(self, row: Row, memory: Memory) -> None:
        self.row, self.memory = row, memory
        self._found: dict[Digests, int] = {}  # before the tail
        self._correlations: dict[int, int | None] = {}  # position -> correlation, before the tail
        self._waiting: list[tuple[int, int, Envelope]] = []  # index, digest

    def of(
        self, envelopes: Sequence[Envelope], digests: Sequence[int], identities: Sequence[int]
    ) -> list[int | None]:
        """Return each event's cause as a position; None without one and while it is missing."""
        first = self.row.head + 1
        last = self.row.head + len(envelopes)
        ours = dict(zip(digests, range(first, last + 1), strict=True))
        sources: dict[int, int] = {}
        keys = self._keys(envelopes, digests)
        if any(e.causation_source for e in envelopes):
            sources = dict(zip(identities, range(first, last + 1), strict=True))
        near = self._near(ours, sources)
        held = {key: at for key in set(keys) if key is not None and (at := near(key)) is not None}
        if far := [key for key in set(keys) if key is not None and key not in held]:
            self._search(far)
            held |= self._found
        causes: list[int | None] = []
        for index, (e, key) in enumerate(zip(envelopes, keys, strict=True)):
            if key is None:
                causes.append(e.cause if e.cause is not None and 0 < e.cause <= last else None)
                continue
            cause = held.get(key)
            causes.append(cause)
            if cause is None:
                self._waiting.append((index, key[0], e))
        if any(inherits(*which) for which in {(e.kind, e.tap) for e in envelopes}):
            self._load_correlations({c for c in causes if c is not None})
        return causes

    def _near(
        self, ours: dict[int, int], sources: dict[int, int]
    ) -> Callable[[Digests], int | None]:
        """Return a look-up in this batch, then in the tail."""
        tail = self.memory.tail
        last_with_id = tail.last_with_id

        def near(key: Digests) -> int | None:
            digest, identity = key
            if identity is None:
                return ours.get(digest) or last_with_id(digest)
            return sources.get(identity) or next(reversed(tail.with_identity(identity)), None)

        return near

    def _keys(self, envelopes: Sequence[Envelope], digests: Sequence[int]) -> list[Digests | None]:
        """Return what each event's cause is looked up by; None where it names none."""
        known = dict(zip((e.id for e in envelopes), digests, strict=True))
        asked = [e.causation if e.cause is None else "" for e in envelopes]
        other = list(set(asked).difference(known))
        known.update(zip(other, map(seen.id_digest, seen.pack_ids(other)), strict=True))
        return [
            ((known[name], self._identity(e) if e.causation_source else None) if name else None)
            for e, name in zip(envelopes, asked, strict=True)
        ]

    def _identity(self, e: Envelope) -> int:
        seed = self.memory.seed(e.causation_source)
        return seen.identity_digest(seen.pack_id(e.causation), seed)

    def _search(self, keys: list[Digests]) -> None:
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
        positions = {p for p in positions if p <= self.memory.tail.start}
        keys = [
            place(part.timeline, p)
            for part in remember.segments(self.row)
            for p in positions
            if part.after < p <= part.upto
        ]
        for clause, values in store.among(keys):
            sql = f"SELECT place, correlation_id FROM eventlog_event WHERE place {clause}"
            self._correlations |= {position(key): c for key, c in store.fetch(sql, values)}

    def correlation(
        self, cause: int, envelopes: Sequence[Envelope], so_far: Sequence[int | None]
    ) -> int | None:
        """Return the correlation of a cause; `so_far` holds those of this batch's first events."""
        index = cause - self.row.head - 1
        if index >= len(so_far):
            later = envelopes[index].correlation
            return self.memory.correlations[later] if later else None
        if index >= 0:
            return so_far[index]
        tail = self.memory.tail
        if tail.start < cause:
            return tail.correlation_at(cause)
        return self._correlations.get(cause)

    def write(self, rows: Sequence[Sequence[Any]], digests: Sequence[int]) -> None:
        """Fill in the causes of effects that came in earlier batches; note those still waiting."""
        if self.memory.waiting is None:
            sql = "SELECT 1 FROM eventlog_waiting WHERE timeline = %s LIMIT 1"
            self.memory.waiting = bool(store.fetch(sql, [self.row.timeline]))
        if self.memory.waiting and rows:
            arrived: dict[int, list[Sequence[Any]]] = {}
            for digest, row in zip(digests, rows, strict=True):
                arrived.setdefault(seen.signed(digest), []).append(row)
            self._resolve(arrived)
        new = [
            (
                rows[index][0],
                self.row.timeline,
                seen.signed(digest),
                e.causation,
                e.causation_source,
            )
            for index, digest, e in self._waiting
        ]
        if new:
            self.memory.waiting = True
            store.execute_many(
                "INSERT INTO eventlog_waiting (place, timeline, digest, causation, source)"
                " VALUES (%s, %s, %s, %s, %s)",
                new,
            )

    def _resolve(self, arrived: dict[int, list[Sequence[Any]]]) -> None:
        done = []
        for clause, values in store.among(arrived):
            sql = (
                "SELECT w.place, w.digest, w.source, e.lane_id FROM eventlog_waiting w"
                " JOIN eventlog_event e ON e.place = w.place"
                f" WHERE w.timeline = %s AND w.digest {clause}"
            )
            waiting = store.fetch(sql, [self.row.timeline, *values])
            remember.know_lanes(self.row.system, self.memory, {row[3] for row in waiting})
            for effect, digest, source, lane in waiting:
                if (cause := self._from(arrived[digest], source)) is not None:
                    kind, *_, tap, _ = self.memory.strings[lane]
                    inherited = cause[CORRELATION] if inherits(kind, tap) else None
                    done.append((position(cause[0]), inherited, effect))
        store.execute_many(
            "UPDATE eventlog_event SET cause = %s, correlation_id = COALESCE(correlation_id, %s)"
            " WHERE place = %s",
            done,
        )
        store.execute_many(
            "DELETE FROM eventlog_waiting WHERE place = %s", [(effect,) for *_, effect in done]
        )
        for _, taken, effect in done:
            self.memory.tail.correct(position(effect), taken)

    def _from(self, rows: Sequence[Sequence[Any]], source: str) -> Sequence[Any] | None:
        """Return the newest of `rows` that comes from `source`, where one is asked for."""
        strings = self.memory.strings
        matching = (r for r in reversed(rows) if not source or strings[r[LANE]][2] == source)
        return next(matching, None)
