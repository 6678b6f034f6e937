"""Code against history: does every event still fold, and as the code before folded it?

Both codes fold the same events, each over states of its own. An event is broken where the code
as it is now cannot take it; changed where the state comes out otherwise than by the code before,
and not only because it was otherwise already; fine else. A broken event is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import msgspec

from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections import exact
from apps.projections.diff import Change, changes
from apps.projections.errors import BrokenCode, UnknownStream
from apps.projections.exact import MISSING
from apps.projections.queries import sources
from apps.projections.queries.coded import shown
from apps.projections.queries.states import state_at
from apps.projections.runner import Stopped
from evdebug.sdk.registry import fits

PAGE = 2000  # events read at once
BATCH = 100  # events in one request to the child
STOPS = 20  # times the code of one projection may end its process, or hang


class Row(msgspec.Struct):
    """What became of the events of one type and version, by one projection.

    position, text  the first that is broken, else the first that changed, and why
    """

    projection: str
    type: str
    version: int
    fine: int = 0
    changed: int = 0
    broken: int = 0
    position: int = 0
    text: str = ""

    def add(self, word: str, position: int, text: str) -> None:
        """Count one event as fine, changed or broken."""
        first = (word == "broken" and not self.broken) or (word == "changed" and not self.text)
        setattr(self, word, getattr(self, word) + 1)
        if first:
            self.position, self.text = position, text


class Step(msgspec.Struct):
    """A state before and after an event, as JSON; None is none yet."""

    before: str | None
    after: str | None
    error: str = ""


def check(line: Line, *, base: int, until: int, beat: Callable[[int], None]) -> list[Row]:
    """Fold base < position <= until with every projection there is; those with trouble first.

    beat    called with the position reached, again and again; what it raises ends the check
    raises  BrokenCode where modules cannot be run, or one ends its process too often
    """
    known, error = sources.projections(line)
    if error:
        raise BrokenCode(error)
    rows: dict[tuple[str, str, int], Row] = {}
    sides = [_pair(line, name, base) for name in known]
    for page in _pages(line, base, until):
        for now, before in sides:
            for event, word, text in judged(now, before, page, partial(beat, page[0].position)):
                version = shown(event)["version"]
                key = now.name, event.type, version
                rows.setdefault(key, Row(*key)).add(word, event.position, text)
        beat(page[-1].position)
    trouble = {"broken": 0, "changed": 1}
    return sorted(
        rows.values(),
        key=lambda r: (min((n for w, n in trouble.items() if getattr(r, w)), default=2),
                       r.projection, r.type, r.version),
    )  # fmt: skip


def known(line: Line) -> bool:
    """Return whether there is any projection by code."""
    return bool(sources.projections(line)[0])


def _pages(line: Line, base: int, until: int) -> Iterator[list[Recorded]]:
    after = base
    while after < until and (page := log.read(line, after=after, upto=until, limit=PAGE)):
        after = page[-1].position
        yield page


def _pair(line: Line, name: str, base: int) -> tuple[Side, Side | None]:
    """Return a projection as it is now, and as it was before, None where it never was otherwise."""
    earlier = sources.earlier(line, name)
    try:
        before = Side(line, name, earlier[0], base) if earlier else None
    except BrokenCode:  # what it was made of is not there any more
        before = None
    return Side(line, name, name, base), before


def judged(
    now: Side, before: Side | None, page: list[Recorded], beat: Callable[[], None]
) -> Iterator[tuple[Recorded, str, str]]:
    """Yield each event that feeds a projection, with what became of it and why."""
    then = dict(before.steps(page, beat)) if before else {}
    events = {event.position: event for event in page}
    for position, step in now.steps(page, beat):
        word, text = verdict(step, then.get(position))
        yield events[position], word, text


def verdict(now: Step, then: Step | None) -> tuple[str, str]:
    """Return fine, changed or broken, and why."""
    if now.error:
        return "broken", now.error
    if then is None or (then.after == now.after and not then.error):
        return "fine", ""
    if then.error:
        return "changed", f"the code before could not take it: {then.error}"
    if not (differ := _between(then.after, now.after)):
        return "fine", ""
    was, new = _between(then.before, then.after), _between(now.before, now.after)
    if was == new:
        return "fine", ""
    path = next((c.path for c in new if c not in was), differ[0].path)
    return "changed", f"{path or 'the state'} comes out otherwise"


def _between(before: str | None, after: str | None) -> list[Change]:
    return changes(
        *(MISSING if raw is None else msgspec.json.decode(raw) for raw in (before, after))
    )


class Side:
    """One code of a projection, and the states it has made so far."""

    def __init__(self, line: Line, name: str, code: str, base: int) -> None:
        self.line, self.name, self.code, self.base = line, name, code, base
        self.projection = sources.projection(line, code)
        self.states: dict[str, str | None] = {}
        self.stops = 0

    def steps(self, page: list[Recorded], beat: Callable[[], None]) -> Iterator[tuple[int, Step]]:
        """Yield (position, step) for each event that feeds this projection."""
        shape = self.projection.shape
        feed = [
            e for e in page
            if e.kind in shape.kinds and e.data is not None and fits(shape.streams, e.stream)
            and (e.stream or shape.by != "stream")
        ]  # fmt: skip
        groups: dict[str, list[Recorded]] = {}
        for event, key, error in self._keyed(feed):
            if error:
                yield event.position, Step(None, None, error)
            elif key is not None:
                groups.setdefault(key, []).append(event)
        for entity, events in groups.items():
            beat()
            if entity not in self.states:
                self.states[entity] = self._start(entity, events[0])
            yield from self._folded(entity, events)

    def _keyed(self, feed: list[Recorded]) -> Iterator[tuple[Recorded, str | None, str]]:
        by, keys = self.projection.shape.by, self.projection.keys
        if by != "key" or keys is None:
            yield from ((e, e.stream if by == "stream" else "", "") for e in feed)
            return
        for batch in _some(feed, BATCH):
            try:
                yield from self._told(batch)
            except Stopped:  # one by one, to learn which of them it is
                for event in batch:
                    yield from self._alone(event)

    def _told(self, batch: list[Recorded]) -> list[tuple[Recorded, str | None, str]]:
        assert self.projection.keys is not None, "it has a key of its own"
        told = self.projection.keys(self.projection.shape.name, [shown(e) for e in batch])
        return [(e, *each) for e, each in zip(batch, told.keys, strict=True)]

    def _alone(self, event: Recorded) -> list[tuple[Recorded, str | None, str]]:
        try:
            return self._told([event])
        except Stopped as stopped:
            self._count(stopped)
            return [(event, None, stopped.text)]

    def _start(self, entity: str, first: Recorded) -> str | None:
        """Return an entity's state at the fork point, None where it had none."""
        by_stream = self.projection.shape.by == "stream"
        if not self.base or (by_stream and first.revision == 0):
            return None
        try:
            found = state_at(self.line, entity, at=self.base, projection=self.code).state
        except UnknownStream:
            return None
        return None if found is MISSING else exact.encode(found).decode()

    def _folded(self, entity: str, events: list[Recorded]) -> Iterator[tuple[int, Step]]:
        """Fold events, past those that break; after one of them in small steps."""
        shape, size = self.projection.shape, BATCH
        while events:
            batch, state = events[:size], self.states[entity]
            request = {
                "reducer": shape.name, "key": entity if shape.by != "all" else None,
                "position": batch[0].position - 1, "state": state, "marks": None,
                "events": [shown(e) for e in batch], "every": True,
            }  # fmt: skip
            try:
                told = self.projection.ask(request)
            except Stopped as stopped:
                if len(batch) > 1:
                    size = 1  # to learn which of them it is
                    continue
                self._count(stopped)
                yield batch[0].position, Step(state, None, stopped.text)
                events = events[1:]
                continue
            for position, after in told.points:
                yield position, Step(state, after)
                state = after
            self.states[entity] = state
            size = min(size * 2, BATCH)
            if told.error and told.broken is not None:
                yield told.broken, Step(state, None, told.error)
                size = 1
            last = told.broken if told.broken is not None else batch[-1].position
            events = [e for e in events if e.position > last]

    def _count(self, stopped: Stopped) -> None:
        self.stops += 1
        if self.stops > STOPS:
            raise BrokenCode(
                f"{self.code} ended its process or hung {self.stops} times, the last time at"
                f" #{stopped.position}: {stopped.text}"
            )


def _some(events: list[Recorded], size: int) -> Iterable[list[Recorded]]:
    return (events[n : n + size] for n in range(0, len(events), size))
