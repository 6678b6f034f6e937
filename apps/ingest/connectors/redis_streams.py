"""Redis Streams: every entry after a place, and gaps where entries are gone.

What must fit together is asked for in one MULTI, so no entry comes or goes in between.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from apps.ingest.connector import Batch, Cursor, Delivery, Gap, Lag, Progress, Record
from apps.ingest.connectors import redis_watch
from apps.ingest.connectors.redis_entries import entries, info, milliseconds, order, record
from apps.ingest.connectors.redis_watch import Watch
from apps.ingest.connectors.redis_wire import Wire

START = "0-0"
LAST_SEQ = 2**64 - 1
BYTES = 8 * 1024 * 1024
FEW = 64  # entries asked for at once until their size is known

Info = dict[str, Any]


class Place(msgspec.Struct, array_like=True):
    """How far a stream is read."""

    id: str = START
    added: int | None = None  # how many entries had been added up to there, where that is known
    generation: int = 0
    first: str = ""  # the first entry read of this generation

    @property
    def epoch(self) -> str:
        return str(self.generation) if self.generation else ""


class Found(msgspec.Struct):
    """What one round over all streams found."""

    records: list[Record] = []
    deliveries: list[Delivery] = []
    progress: list[Progress] = []
    gaps: list[Gap] = []

    def batch(self) -> Batch:
        return Batch(self.records, self.deliveries, self.progress, self.gaps)


class Streams:
    """Reads streams over one connection."""

    def __init__(
        self, wire: Wire, keys: Sequence[str], cursor: Cursor, start: str | datetime
    ) -> None:
        self._wire = wire
        self._streams = [Stream(wire, key, cursor, start) for key in keys]
        self._untold = any(key not in cursor for key in keys)
        self._size = 0  # of an entry, about

    def read(self, limit: int, wait: float) -> Batch:
        """Return what comes next; looks at the groups again and again while nothing comes."""
        until = time.monotonic() + wait
        while True:
            batch = self._round(limit)
            left = until - time.monotonic()
            if batch or left <= 0:
                return batch
            self._wait(min(left, redis_watch.LOOK_S))

    def _wait(self, seconds: float) -> None:
        keys = [s.key for s in self._streams]
        ids = [s.place.id for s in self._streams]
        block = max(int(seconds * 1000), 1)
        self._wire.wait(seconds, "XREAD", "COUNT", 1, "BLOCK", block, "STREAMS", *keys, *ids)

    def _round(self, limit: int) -> Batch:
        found = Found()
        fit = BYTES // self._size if self._size else FEW
        each = max(min(limit, fit) // len(self._streams), 1)
        for stream in self._streams:
            if room := min(limit - len(found.records), each):
                before = len(found.records)
                stream.read(room, found)
                self._measure(found.records[before:])
            stream.look(limit - len(found.deliveries), found)
        batch = found.batch()
        if batch or self._untold:
            self._untold = False
            batch.cursor = {lane: at for s in self._streams for lane, at in s.cursor().items()}
        return batch

    def _measure(self, records: list[Record]) -> None:
        if records:
            size = sum(len(r.body or b"") for r in records) // len(records) + 64
            self._size = max(size, self._size // 2)

    def lag(self) -> Lag:
        """Return how many entries are not read yet, and how old the oldest of them may be."""
        lags = [stream.lag() for stream in self._streams]
        behind = [lag.records for lag in lags if lag.records is not None]
        delays = [lag.delay_us for lag in lags if lag.delay_us is not None]
        return Lag(sum(behind) if len(behind) == len(lags) else None, max(delays, default=None))


class Stream:
    """One stream: read after a place, its groups watched."""

    def __init__(self, wire: Wire, key: str, cursor: Cursor, start: str | datetime) -> None:
        self._wire, self.key = wire, key
        self._gone, self._last = False, ""
        self.place = (
            msgspec.json.decode(cursor[key], type=Place) if key in cursor else self._begin(start)
        )
        self._watch = Watch(wire, key, cursor, self.place.id)

    def _begin(self, start: str | datetime) -> Place:
        """Return where to start in a stream that was never read."""
        if isinstance(start, datetime):
            return Place(f"{max(int(start.timestamp() * 1000) - 1, 0)}-{LAST_SEQ}")
        found = self._info()
        if found is None:
            return Place(START, 0)
        added = found.get("entries-added")
        if start == "now":
            return Place(_text(found["last-generated-id"]), added)
        return Place(START, None if added is None else added - found["length"])

    def _info(self) -> Info | None:
        return info(self._wire.at_once([("XINFO", "STREAM", self.key)])[0])

    def cursor(self) -> dict[str, str]:
        return {self.key: msgspec.json.encode(self.place).decode(), **self._watch.cursor()}

    def read(self, count: int, found: Found) -> None:
        """Add to `found` what comes next, `count` entries at most."""
        answer, read = self._wire.at_once([
            ("XINFO", "STREAM", self.key),
            ("XREAD", "COUNT", count, "STREAMS", self.key, self.place.id),
        ])  # fmt: skip
        state = info(answer)
        if state is None:
            self._gone = self.place.id != START
            return
        if self._is_another(state):
            self._begin_again(state, found)
            return
        pairs = entries(read[0][1]) if read else []
        ids = [entry for entry, _ in pairs]
        self._tell_gaps(state, ids, found)
        epoch = self.place.epoch
        found.records += [record(self.key, epoch, entry, fields) for entry, fields in pairs]
        self._watch.recent.add(ids)
        self._last = _text(state["last-generated-id"])
        if ids:
            self.place.id, self.place.first = ids[-1], self.place.first or ids[0]

    def look(self, room: int, found: Found) -> None:
        """Add to `found` what the consumer groups did."""
        if not self._gone:
            told, progress = self._watch.look(self.place.epoch, self._last, room)
            found.deliveries += told
            found.progress += progress

    def _is_another(self, state: Info) -> bool:
        """Return whether the stream is not as it was left: deleted and made anew, or set back."""
        added, known = state.get("entries-added"), self.place.added
        if self._gone or order(_text(state["last-generated-id"])) < order(self.place.id):
            return self.place.id != START and not self.place.id.endswith(str(LAST_SEQ))
        return (
            added is not None and known is not None and (added < known or self._trimmed(state) < 0)
        )

    def _begin_again(self, state: Info, found: Found) -> None:
        """Stand where reading goes on in a stream that is another than it was."""
        gone, self._gone = self._gone, False
        first = self.place.first
        if not gone and first and self._wire.ask("XRANGE", self.key, first, first):
            # Redis came back without its last moments. What it still has, we have.
            self.place.id = _text(state["last-generated-id"])
            self.place.added = state.get("entries-added")
        else:
            found.gaps.append(_anew(self))
            self.place = Place(START, 0, self.place.generation + 1)
        self._watch = Watch(self._wire, self.key, {}, self.place.id)

    def _trimmed(self, state: Info) -> int:
        """Return how many entries after our place are gone, if all that is left is after it."""
        first = state.get("first-entry")
        if not first or order(_text(first[0])) <= order(self.place.id):
            return 0
        return int(state["entries-added"] - (self.place.added or 0) - state["length"])

    def _tell_gaps(self, state: Info, read: list[str], found: Found) -> None:
        """Tell the entries that were added after our place and are gone."""
        added, last = state.get("entries-added"), state.get("last-entry")
        at_end = not last or order(read[-1] if read else self.place.id) >= order(_text(last[0]))
        if added is None or self.place.added is None:
            self.place.added = added if at_end else None
            return
        lost = added - self.place.added - len(read) if at_end else self._trimmed(state)
        if lost > 0:
            upto = _text(state["last-generated-id"]) if not read else ""
            found.gaps.append(_lost(self, lost, upto))
        self.place.added += len(read) + max(lost, 0)

    def lag(self) -> Lag:
        state = self._info()
        last = state and state.get("last-entry")
        if not state or not last or order(_text(last[0])) <= order(self.place.id):
            return Lag(0, 0)
        added, known = state.get("entries-added"), self.place.added
        oldest = milliseconds(
            self.place.id if self.place.id != START else _text(state["first-entry"][0])
        )
        return Lag(
            None if added is None or known is None else max(added - known, 0),
            max(_now() - oldest * 1000, 0),
        )


def _text(entry: bytes) -> str:
    return entry.decode()


def _now() -> int:
    return time.time_ns() // 1000


def _anew(stream: Stream) -> Gap:
    return Gap(
        channel=stream.key, cause="recreated", after=stream.place.id, at=_now(),
        words="The stream was deleted and made anew; what had not been read of it is lost.",
    )  # fmt: skip


def _lost(stream: Stream, count: int, upto: str) -> Gap:
    return Gap(
        channel=stream.key, cause="retention", after=stream.place.id, upto=upto, count=count,
        at=_now(), words=f"{count:,} entries were trimmed or deleted before they were read.",
    )  # fmt: skip
