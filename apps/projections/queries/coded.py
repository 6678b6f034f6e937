"""Folding with projections that are code, from snapshots, with errors as values."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from apps.eventlog.envelope import Recorded, Undecodable
from apps.eventlog.places import Line
from apps.eventlog.queries import facts, log
from apps.projections import blame, exact, packing
from apps.projections.errors import StillFolding
from apps.projections.exact import MISSING
from apps.projections.queries import snapshots, sources
from apps.projections.queries.sources import Projection
from apps.projections.runner import Answer, Described, Stopped
from evdebug.sdk.registry import fits

BATCH = 400  # events in one request to the child
LOOK_S = 20.0  # one look may take; what it came to is kept, and the next goes on from there
EVENTS = 400_000  # events one look may fold; beyond, snapshots must be made first


Tell = Callable[[int, int], bool]  # (where a fold began, how far it is) → whether to go on


class CodeFold:
    """A fold of one entity by code, from the nearest snapshot to a moment.

    Errors of the code are values: `note` says what happened, `broken` at which event; the state is
    the one before it.
    """

    def __init__(
        self, line: Line, stream: str, number: int | None, upto: int, projection: Projection,
        *, named: str = "", tell: Tell | None = None,
    ) -> None:  # fmt: skip
        """named  how the projection was asked for;  tell  see `state_at`: asked between batches"""
        shape, self.named, self.tell = projection.shape, named or projection.shape.name, tell
        self.line, self.upto, self.shape, self.ask = line, upto, shape, projection.ask
        self.entity = stream if shape.by != "all" else None
        self.stream = number if shape.by == "stream" else None
        self.slot = number if shape.by == "stream" and number else _slot(self.entity)
        self._begin(snapshots.nearest(line, shape.fingerprint, self.slot, upto=upto, marks=True))
        self.note = ""
        self.broken: int | None = None
        self.folded = 0
        self.retried, self.every = False, True

    def _begin(self, kept: snapshots.Kept | None) -> None:
        self.snapshot = kept.position if kept else None
        self.last = kept.position if kept else 0
        self.raw = exact.encode(kept.state) if kept else None
        self.row = blame.row(kept.state, kept.marks) if kept else []

    def skip_erased(self) -> bool:
        """Begin at the first state kept for events that were erased; False where none were."""
        kept = snapshots.kept(self.line, self.shape.fingerprint, self.last, self.upto, self.slot)
        if kept:
            self._begin(kept[min(kept)])
        return bool(kept)

    @property
    def state(self) -> Any:
        """The state after `last`, MISSING before the first event."""
        return MISSING if self.raw is None else msgspec.json.decode(self.raw)

    @property
    def marks(self) -> blame.Marks:
        """Who set what."""
        return blame.unrow(self.state, iter(self.row)) if self.raw is not None else MISSING

    def run(self, *, every: bool = True) -> Iterator[tuple[int, Any]]:
        """Fold and yield (position, state) for each event; keep a snapshot per BATCH of them.

        every   False yields nothing and is quicker: the state at the end is what is wanted
        raises  StillFolding when told to stop; what was folded is kept
        """
        self.every = every
        made: list[snapshots.Made] = []
        deadline = time.monotonic() + LOOK_S
        for page, reached, more in _batches(
            self.line, self.stream, self.shape, self.snapshot or 0, self.upto
        ):
            batch = [event for event in page if event.data is not None]
            if len(batch) < len(page):
                erased = next(event.position for event in page if event.data is None)
                self.note = f"#{erased}: its data was deleted; what it said is not in this state."
            points = self._batch(batch) if batch else []
            yield from ((at, msgspec.json.decode(raw)) for at, raw in points)
            if self.broken is not None:
                break
            if self.folded >= BATCH * (len(made) + 1):
                self._offer(made)
            if more and self.tell and not self.tell(self.snapshot or 0, reached):
                self._offer(made)
                self._keep(made)
                raise StillFolding(self.snapshot or 0, reached)
            if more and (self.folded > EVENTS or time.monotonic() > deadline):
                self.note = f"Only {self.folded} events were folded, up to #{self.last}: look again"
                self.note += " to go on from there."
                self._offer(made)
                break
        self._keep(made)

    def _offer(self, made: list[snapshots.Made]) -> None:
        if self.raw is not None and self.last > (made[-1].position if made else self.snapshot or 0):
            state, marks, _ = packing.pack(self.state, self.marks)
            made.append(snapshots.Made(self.last, state, marks, ""))

    def _keep(self, made: list[snapshots.Made]) -> None:
        if made:
            snapshots.keep(self.line, self.shape.fingerprint, self.slot, made)

    def _batch(self, events: list[Recorded]) -> list[Any]:
        request = {
            "reducer": self.shape.name, "key": self.entity, "position": self.last,
            "state": None if self.raw is None else self.raw.decode(), "marks": self.row,
            "events": [shown(event) for event in events], "every": self.every,
        }  # fmt: skip
        try:
            told: Answer = self.ask(request)
        except Stopped as stopped:
            return self._stopped(events, stopped)
        self.folded += told.taken
        self.last = told.position
        self.raw = None if told.state is None else told.state.encode()
        self.row = told.marks or []
        if told.error:
            self.broken, self.note = told.broken, told.error
        return list(told.points)

    def _stopped(self, events: list[Recorded], stopped: Stopped) -> list[Any]:
        """Fold up to the event the child was at when it had to be ended, by its own word."""
        at = stopped.position
        if self.retried or at not in {event.position for event in events}:
            at = events[0].position
        self.retried = True  # once: a child that lies would have us try for every event
        good = [event for event in events if event.position < at]
        points = self._batch(good) if good else []
        if self.broken is None:
            self.broken, self.note = at, stopped.text
        return points


def _slot(entity: str | None) -> int:
    """Return the number that stands for an entity that is no stream; 0 for the one state of all."""
    if entity is None:
        return 0
    return -(int.from_bytes(hashlib.blake2b(entity.encode(), digest_size=7).digest(), "big") + 1)


def _batches(
    line: Line, stream: int | None, shape: Described, after: int, upto: int
) -> Iterator[tuple[list[Recorded], int, bool]]:
    """Yield (events that feed the projection, position reached, whether there may be more)."""
    more = True
    while more and after < upto:
        if stream is not None:
            rows = facts.recorded(line, stream, after=after, upto=upto, limit=BATCH)
        else:
            rows = log.read(line, after=after, upto=upto, limit=BATCH)
        if not rows:
            return
        after, more = rows[-1].position, len(rows) == BATCH
        feed = [e for e in rows if e.kind in shape.kinds]
        if stream is None:
            feed = [e for e in feed if fits(shape.streams, e.stream)]
        yield feed, after, more


def shown(event: Recorded) -> dict[str, Any]:
    """Return an event as the SDK gives it to a reducer."""
    try:
        data = event.value()
    except Undecodable:
        data = None
    headers = event.headers()
    version = headers.get("dataversion", 1)
    if isinstance(version, str) and version.isdecimal():
        version = int(version[:9])
    return {
        "id": event.id, "type": event.type, "source": event.source, "stream": event.stream,
        "data": data, "time": event.time // 1000, "kind": event.kind,
        "correlation": event.correlation, "causation": event.causation, "channel": event.channel,
        "partition": event.partition, "offset": event.offset, "key": event.key,
        "position": event.position,
        "version": version if isinstance(version, int) else 1, "metadata": headers,
    }  # fmt: skip


def upcast(event: Recorded) -> tuple[str, int, str] | None:
    """Return (data as JSON, version, what went wrong) as reducers see an event's data.

    None where no upcaster of the modules is about its type.
    """
    child = sources.runner()
    if child is None or not child.describe() or event.data is None:
        return None
    if event.type not in {name for name, _ in child.told.upcasts}:
        return None
    try:
        told = child.upcast(shown(event))
    except Stopped as stopped:
        return "", 0, stopped.text
    return told.data, told.version, told.error
