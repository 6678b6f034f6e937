"""The only way into the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import msgspec
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, transaction

from apps.eventlog import seen, store
from apps.eventlog.commands import names, remember, resolve
from apps.eventlog.commands.repeats import Repeats
from apps.eventlog.envelope import Envelope, inherits
from apps.eventlog.errors import LogUnavailable, UnknownTimeline, WrongRevision
from apps.eventlog.memory import Memory
from apps.eventlog.places import BITS, Line
from apps.eventlog.signals import appended

MINUTE, HOUR = 60_000_000, 3_600_000_000  # µs
ALL = 0  # the lane of the sums


class Appended(msgspec.Struct, frozen=True):
    """What an append did. `positions[i]` is that of envelope i, or of its first occurrence."""

    head: int
    positions: list[int]
    stored: int
    duplicates: int
    conflicts: dict[int, int]  # index -> position of the earlier event with other content


def append(
    line: Line | int,
    envelopes: Sequence[Envelope],
    *,
    expected: Mapping[str, int] | None = None,
    now: int | None = None,
    savepoint: bool = True,
) -> Appended:
    """Write `envelopes` in the given order, all or none, and return what happened.

    Events whose source, id and content the timeline already holds are not stored again but
    counted on the first occurrence, so a bus may deliver twice. The same source and id with other
    content is stored and flagged. `expected` maps stream to the revision the writer last saw (-1:
    no stream). `now` is the recording time in µs, for tests and benchmarks.

    May be called inside a transaction that also holds a cursor or rejects; `signals.appended` is
    sent after its commit. Without `savepoint`, that transaction can only be rolled back once an
    append in it failed; it saves two statements. Memory is bounded by the batch: callers keep
    batches below ~10 000.

    raises  UnknownTimeline; WrongRevision; LogUnavailable when the database fails, and then
            nothing was stored as far as this transaction is concerned
    """
    timeline = line if isinstance(line, int) else line.timeline
    with _available(), transaction.atomic(savepoint=savepoint):
        row = lock(timeline)
        memory = remember.memory_of(row)
        remember.in_use(memory)
        batch = Batch(row, memory, now if now is not None else time.time_ns() // 1000)
        batch.take(envelopes, expected or {})
        batch.write()
    return Appended(
        row.head + len(batch.rows), batch.positions, len(batch.rows),
        len(envelopes) - len(batch.rows), batch.repeats.conflicts,
    )  # fmt: skip


class Row(msgspec.Struct, frozen=True):
    """The locked row of a timeline."""

    timeline: int
    system: int
    head: int
    log_time: int | None
    base: int
    parent: int | None
    epoch: int
    created_at: object

    @property
    def born(self) -> object:
        """What changes when a memory of the timeline can no longer be trusted."""
        return self.epoch, self.created_at


def lock(timeline: int) -> Row:
    """Lock a timeline until the end of the transaction and return it as it is now."""
    clause = "" if store.sqlite() else " FOR UPDATE"
    rows = store.fetch(
        "SELECT id, system_id, head, log_time, base, parent_id, epoch, created_at"
        " FROM eventlog_timeline"
        f" WHERE id = %s{clause}",
        [timeline],
    )
    if not rows:
        raise UnknownTimeline("", timeline)
    return Row(*rows[0])


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (DataError, IntegrityError):
        raise  # ours to mend: what reaches the log was checked before
    except (DatabaseError, InterfaceError) as error:
        raise LogUnavailable(f"The log cannot be written: {error}") from error


class Batch:
    """One append under way: the rows to write, and what goes along with them."""

    def __init__(self, row: Row, memory: Memory, now: int) -> None:
        self.row, self.memory, self.now = row, memory, now
        self.rows: list[tuple[Any, ...]] = []
        self.positions: list[int] = []
        self.log_time = row.log_time if row.log_time is not None else -(1 << 62)
        self.repeats = Repeats(row, memory)
        self.causes = resolve.Causes(row, memory)
        self.new: Sequence[Envelope] = ()
        self.lanes: list[int] = []
        self.packed: list[bytes] = []
        self.digests: list[int] = []
        self.identities: list[int] = []
        self.found: list[int | None] = []  # the cause of each
        self.rollups: dict[tuple[int, int], tuple[int, int]] = {}  # (lane, minute) -> count, first

    def take(self, envelopes: Sequence[Envelope], expected: Mapping[str, int]) -> None:
        """Find out all that the rows need to know: names, duplicates, causes."""
        packed = seen.pack_ids([e.id for e in envelopes])
        digests = list(map(seen.id_digest, packed))
        sources = [e.source for e in envelopes]
        seeds = {source: self.memory.seed(source) for source in set(sources)}
        identities = list(map(seen.identity_digest, packed, map(seeds.__getitem__, sources)))
        lanes = names.prepare(self.row, self.memory, envelopes, expected)
        self._expect(expected)
        if self.repeats.find(envelopes, packed, digests, identities):
            again = self.repeats.stored.keys() | self.repeats.inner.keys()
            new = [index for index in range(len(envelopes)) if index not in again]
            self._number(len(envelopes), new)
            envelopes, packed = [envelopes[i] for i in new], [packed[i] for i in new]
            digests, identities = [digests[i] for i in new], [identities[i] for i in new]
            lanes = [lanes[i] for i in new]
        else:
            head = self.row.head
            self.positions = list(range(head + 1, head + len(envelopes) + 1))
        self.new, self.lanes, self.packed = envelopes, lanes, packed
        self.digests, self.identities = digests, identities
        self.found = self.causes.of(envelopes, digests, identities)

    def _expect(self, expected: Mapping[str, int]) -> None:
        for stream, revision in expected.items():
            actual = self.memory.revisions.get(self.memory.streams.get(stream, 0), -1)
            if actual != revision:
                raise WrongRevision(stream=stream, expected=revision, actual=actual)

    def _number(self, count: int, new: Sequence[int]) -> None:
        """Give every envelope its position, duplicates that of their first occurrence."""
        at = {index: self.row.head + 1 + n for n, index in enumerate(new)} | self.repeats.stored
        for index, first in self.repeats.inner.items():
            at[index] = at[first]
        self.positions = [at[index] for index in range(count)]

    def _built(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of what is new, while the database takes them.

        The one loop that every event pays for; it asks the database nothing.
        """
        memory, now, envelopes = self.memory, self.now, self.new
        streams, revisions = memory.streams, memory.revisions
        known, log_time = memory.correlations, self.log_time
        correlations: list[int | None] = []
        minutes: list[int] = []
        key = self.row.timeline << BITS | self.row.head
        keep, add, minutes_add = self.rows.append, correlations.append, minutes.append
        for e, lane, id_, cause in zip(envelopes, self.lanes, self.packed, self.found, strict=True):
            key += 1
            stream = revision = None
            if e.stream:
                stream = streams[e.stream]
                revision = revisions[stream] = revisions.get(stream, -1) + 1
            correlation = known[e.correlation] if e.correlation else None
            if correlation is None and cause is not None and inherits(e.kind, e.tap):
                correlation = self.causes.correlation(cause, envelopes, correlations)
            add(correlation)
            at = now if e.time is None else e.time
            if log_time < at:  # max(log_time, min(at, now)), without the calls
                log_time = at if at < now else max(log_time, now)
            checksum = crc32(e.data, crc32(e.metadata, crc32(id_)))
            minutes_add(log_time // MINUTE)
            row = (
                key, at, now, log_time, cause, correlation, stream, lane, revision,
                checksum - (checksum >> 31 << 32), id_, e.partition, e.offset, e.key,
                e.metadata, e.data,
            )  # fmt: skip
            keep(row)
            yield row
        self._count(list(zip(self.lanes, minutes, strict=True)))
        self.log_time = log_time
        memory.tail.extend(self.digests, self.identities, correlations)

    def _count(self, keys: list[tuple[int, int]]) -> None:
        """Count the new rows by (lane, minute), and note the first position of each."""
        first = self.row.head + 1
        places = range(first + len(keys) - 1, first - 1, -1)
        firsts = dict(zip(reversed(keys), places, strict=True))  # the last to be set is the first
        self.rollups = {key: (n, firsts[key]) for key, n in Counter(keys).items()}

    def write(self) -> None:
        """Write everything; nothing is visible before the commit."""
        if self.new:
            store.insert_events(self._built())
            head = self.row.head + len(self.rows)
            with store.in_one_go():
                store.add_rollups(self._sums())
                store.execute(
                    "UPDATE eventlog_timeline SET head = %s, log_time = %s WHERE id = %s",
                    [head, self.log_time, self.row.timeline],
                )
            timeline = self.row.timeline
            # Robust: the log takes events even when those who watch it are down.
            transaction.on_commit(
                lambda: appended.send_robust(sender=None, timeline=timeline, head=head) and None,
                robust=True,
            )
        self.repeats.write(self.positions)
        self.causes.write(self.rows, self.digests)
        remember.seal(self.row, self.memory)
        self.memory.trim()

    def _sums(self) -> list[tuple[int, ...]]:
        """Return the rollup rows: each minute and hour, each lane and the sum of all."""
        sums: dict[tuple[int, int, int], list[int]] = {}
        for (lane, minute), (count, first) in self.rollups.items():
            failed = count if lane in self.memory.failures else 0
            spans = (60, minute), (3600, minute * MINUTE // HOUR)
            for key in ((span, which, at) for span, at in spans for which in (lane, ALL)):
                total = sums.setdefault(key, [0, 0, first])
                total[0] += count
                total[1] += failed
                total[2] = min(total[2], first)
        return [
            (self.row.timeline, span, lane, bucket, *total)
            for (span, lane, bucket), total in sums.items()
        ]
