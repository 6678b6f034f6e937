"""The state of a stream at any moment, and what that cost to find out."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from apps.eventlog.envelope import Undecodable
from apps.eventlog.places import Line
from apps.eventlog.queries import facts
from apps.projections import blame, exact, merge, packing
from apps.projections.diff import Change, changes
from apps.projections.errors import StillFolding, UnknownProjection, UnknownStream
from apps.projections.exact import MISSING
from apps.projections.queries import coded, snapshots, sources
from apps.projections.queries.coded import Tell
from apps.projections.spacing import Spacing
from evdebug.sdk.registry import fits

MERGE = "merge"  # the projection that needs no code
FINGERPRINT = "merge/1"
COMPACTED = (
    "The events up to here were compacted, and what they said is gone. The first state that was"
    " kept is that of #{}."
)


class Cost(msgspec.Struct, frozen=True):
    """What finding a state cost."""

    snapshot: int | None  # position of the snapshot it began at
    folded: int  # events folded from there
    ms: float


class State(msgspec.Struct, frozen=True):
    """A stream's state as of a moment.

    state  MISSING before the first event, None (null) once deleted
    last   position of the last event in it, 0 for none
    error  what is missing or wrong in it, "" for nothing
    marks  who set what (see blame), MISSING when not asked for
    """

    stream: str
    position: int
    state: Any
    last: int
    error: str
    marks: blame.Marks
    cost: Cost
    projection: str = MERGE
    fingerprint: str = FINGERPRINT
    broken: int | None = None

    @property
    def exists(self) -> bool:
        """Whether the entity is there: it began, and was not deleted."""
        return self.state is not MISSING and self.state is not None


def state_at(
    line: Line, stream: str, *, at: int | None = None, projection: str = "", marks: bool = False,
    tell: Tell | None = None,
) -> State:  # fmt: skip
    """Return a stream's state after the events up to a position (the head without one).

    tell    asked now and then whether to go on: the next fold begins further on
    raises  UnknownStream where the timeline never has the stream, UnknownProjection;
            StillFolding when told to stop
    cost    the nearest snapshot and the events after it: about 1 ms once snapshots are there
    """
    begun = time.perf_counter()
    moment = line.head if at is None else max(0, min(at, line.head))
    if projection not in ("", MERGE):
        by_code = code_fold(line, stream, moment, projection, tell=tell)
        return _by_code(by_code, stream, marks, begun)
    number = stream_number(line, stream)
    fold = Fold(line, number, moment, marks=marks, tell=tell)
    fold.run()
    if not fold.last and not exists(line, number):
        raise UnknownStream(line.slug, stream)
    note = fold.note
    if fold.erased and (later := snapshots.kept(line, FINGERPRINT, moment, line.head, number)):
        note = COMPACTED.format(min(later))
    return State(
        stream=stream, position=moment, state=fold.state, last=fold.last, error=note,
        marks=fold.marks if marks else MISSING, cost=Cost(fold.snapshot, fold.folded, _ms(begun)),
    )  # fmt: skip


def _by_code(fold: coded.CodeFold, stream: str, marks: bool, begun: float) -> State:
    for _ in fold.run(every=False):
        pass
    if not fold.last and fold.stream is not None and not exists(fold.line, fold.stream):
        raise UnknownStream(fold.line.slug, stream)
    error = fold.note
    if fold.broken is not None and fold.broken != fold.upto:
        error = f"Interrupted at #{fold.broken}: {error}"
    return State(
        stream=stream, position=fold.upto, state=fold.state, last=fold.last, error=error,
        marks=fold.marks if marks else MISSING, cost=Cost(fold.snapshot, fold.folded, _ms(begun)),
        projection=fold.named, fingerprint=fold.shape.fingerprint, broken=fold.broken,
    )  # fmt: skip


def code_fold(
    line: Line, stream: str, moment: int, projection: str, *, tell: Tell | None = None
) -> coded.CodeFold:
    """Return a fold by code that has not run yet.

    raises  UnknownProjection, also for a stream it does not take; BrokenCode, UnknownStream
    """
    found = sources.projection(line, projection)
    shape = found.shape
    number = stream_number(line, stream) if shape.by == "stream" else None
    if number is not None and not fits(shape.streams, stream):
        known = [MERGE, *(each.name for each in sources.fitting(line, stream))]
        raise UnknownProjection(projection, known)
    return coded.CodeFold(line, stream, number, moment, found, named=projection, tell=tell)


def _ms(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1000, 3)


def stream_number(line: Line, stream: str) -> int:
    """Return a stream's number; UnknownStream where the system has none of that name."""
    number = facts.number(line, stream) if stream and "\0" not in stream else None
    if number is None:
        raise UnknownStream(line.slug, stream)
    return number


def exists(line: Line, number: int) -> bool:
    """Return whether a line has any event of a stream."""
    return bool(facts.last_places(line, [number], upto=line.head))


class Fold:
    """One fold of one stream, from the nearest snapshot to a moment."""

    def __init__(
        self, line: Line, stream: int, upto: int, *, marks: bool, tell: Tell | None = None
    ) -> None:
        self.tell, self.stopped = tell, False
        self.line, self.stream, self.upto, self.marking = line, stream, upto, marks
        self.made: list[snapshots.Made] = []
        self._begin()

    def _begin(self) -> None:
        kept = snapshots.nearest(
            self.line, FINGERPRINT, self.stream, upto=self.upto, marks=self.marking
        )
        self.snapshot = kept.position if kept else None
        self.last = kept.position if kept else 0
        self.state = kept.state if kept else MISSING
        self.marks = kept.marks if kept else MISSING
        self.note = kept.note if kept else ""
        self.spacing = Spacing(kept.size if kept else 0)
        self.folded = 0
        self.erased = False

    def run(self) -> None:
        """Fold, and keep the snapshots that pay. Marks are tracked only where they are needed."""
        if not self._through():
            self.marking = True  # a snapshot is due, and snapshots hold marks
            self._begin()
            self._through()
        if self.made:
            snapshots.keep(self.line, FINGERPRINT, self.stream, self.made)
        if self.stopped:
            raise StillFolding(self.snapshot or 0, self.last)

    def _through(self) -> bool:
        pages = facts.of_streams(self.line, [self.stream], after=self.snapshot or 0, upto=self.upto)
        for page in pages:
            kinds = facts.lanes(self.line, {fact.lane for fact in page})
            for fact in page:
                if kinds[fact.lane].kind != "event":
                    continue
                self._take(fact, kinds[fact.lane])
                if self.spacing.add(len(fact.data or b"")):
                    if not self.marking:
                        return False
                    self._offer()
            if self.tell and self.last < self.upto and not self.tell(self.snapshot or 0, self.last):
                self.stopped = True
                if self.marking and not (self.made and self.made[-1].position == self.last):
                    self._offer()
                return True
        return True

    def _take(self, fact: facts.Fact, lane: Any) -> None:
        self.folded += 1
        self.last = fact.position
        data, note = read(fact.data, lane.content_type)
        if note:
            self.note = f"#{fact.position}: {note}"
            self.erased = self.erased or fact.data is None
        elif self.marking:
            self.state, self.marks = blame.applied(self.state, self.marks, data, fact.position)
        else:
            self.state = merge.apply(self.state, data)

    def _offer(self) -> None:
        """Make a snapshot here if it is small enough beside the events it stands for."""
        if self.state is MISSING:
            return
        if self.spacing.size and not self.spacing.affords(self.spacing.size):
            return  # the last one was already too large for so few events
        state, marks, size = packing.pack(self.state, self.marks)
        stored = len(state) + len(marks)
        if self.spacing.affords(stored):
            self.made.append(snapshots.Made(self.last, state, marks, self.note))
            self.spacing.begin(size, stored)
        else:
            self.spacing.size = stored


def read(data: bytes | None, content_type: str) -> tuple[Any, str]:
    """Return (value, what is wrong): MISSING for data that says nothing to a merge."""
    if data is None:
        return MISSING, "its data was deleted; what it said is not in this state."
    if not data:
        return MISSING, ""
    try:
        return exact.decode(data, content_type), ""
    except Undecodable as error:
        return MISSING, f"its data was left out: {error}."


def diff(line: Line, stream: str, *, before: int, after: int, projection: str = "") -> list[Change]:
    """Return what changed in a stream's state between two positions, either way round."""
    a = state_at(line, stream, at=before, projection=projection)
    b = state_at(line, stream, at=after, projection=projection)
    return changes(a.state, b.state)
