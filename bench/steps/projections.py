"""One stream of many events: its state at random moments, by evdebug and by `eventsourcing`."""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.steps import database

if TYPE_CHECKING:
    from apps.eventlog.envelope import Envelope

SPACING = 100  # events between two snapshots of the peer
AGAIN = 49  # events of the other entities, for each there is: 5 million in all


def run(*, side: str, count: int, seeks: int) -> dict[str, Any]:
    """Return the seconds of each seek and what else the side has to say.

    side  ours, plain (the peer without snapshots) or spaced (with one every SPACING events)
    """
    if side == "ours":
        return _ours(count, seeks)
    return _peer(count, seeks, spaced=side == "spaced")


def _patches(count: int) -> list[dict[str, Any]]:
    chance = random.Random(4)
    return [
        {f"f{chance.randrange(40)}": n, "available": count // 2 - n, "note": "x" * 60}
        for n in range(count)
    ]


def _moments(count: int, seeks: int) -> list[int]:
    chance = random.Random(5)
    return [chance.randrange(1, count + 1) for _ in range(seeks)]


def _ours(count: int, seeks: int) -> dict[str, Any]:
    from apps.eventlog.commands.append import append
    from apps.eventlog.commands.systems import create_system
    from apps.eventlog.envelope import Envelope
    from apps.eventlog.queries import log
    from apps.projections.models import Snapshot
    from apps.projections.queries.states import state_at

    database.migrate()
    line = create_system("bench")
    made = [
        Envelope(
            type="Changed", id=f"i{n}", source="/bench", stream="hot-1",
            data=json.dumps(patch).encode(),
        )
        for n, patch in enumerate(_patches(count))
    ]  # fmt: skip
    for start in range(0, count, 2000):
        append(line, made[start : start + 2000])
    line = log.line("bench")
    size = database.size()
    cold = _timed(lambda: state_at(line, "hot-1"))

    def seek(at: int) -> float:
        return _timed(lambda: state_at(line, "hot-1", at=at))

    warm = [seek(at) for at in _moments(count, seeks)]
    scrub = _timed(
        lambda: [state_at(line, "hot-1", at=1 + n * (count - 1) // 59) for n in range(60)]
    )
    stored = sum(len(s.state) + len(s.marks) for s in Snapshot.objects.all())
    return {
        "cold": cold, "seeks": warm, "scrub": scrub,
        "state": state_at(line, "hot-1", at=count // 2).state,
    } | _everything(line, count, seeks, hot=stored / size)  # fmt: skip


def _everything(line: Any, count: int, seeks: int, *, hot: float) -> dict[str, Any]:
    """Return what looking at all entities costs: `count` more, of AGAIN times as many events.

    hot  the share of the bytes that snapshots of the hot stream alone had: the worse share counts
    """
    from apps.eventlog.commands.append import append
    from apps.eventlog.queries import log
    from apps.projections.models import Snapshot
    from apps.projections.queries.entities import entities, what_changed
    from apps.projections.tasks import keep_up

    made = _many(count)
    while batch := list(itertools.islice(made, 2000)):
        append(line, batch)
    keep_up(budget=None)  # as a server's task does behind the head
    line = log.line("bench")
    chance = random.Random(7)
    moments = [chance.randrange(count, line.head + 1) for _ in range(seeks)]

    def look(at: int) -> float:
        return _timed(lambda: entities(line, at=at, limit=50))

    def compare(before: int) -> float:
        return _timed(lambda: what_changed(line, before=before, after=line.head, limit=0))

    page = [look(at) for at in moments]
    changed = [compare(before) for before in (0, line.head // 2, line.head - count // 10)]
    one = [_scanned(line, of=1) for _ in range(3)]
    two = [_scanned(line, of=2) for _ in range(3)]
    stored = sum(len(s.state) + len(s.marks) for s in Snapshot.objects.iterator())
    return {"page": page, "changed": changed, "one": one, "two": two,
            "snapshots": max(hot, stored / database.size()),
            "events": line.head, "blame": _blamed(count)}  # fmt: skip


def _many(count: int) -> Iterator[Envelope]:
    """Yield events of many entities: each begins, few change often, some are deleted."""
    from apps.eventlog.envelope import Envelope

    chance = random.Random(6)
    for n in range(count * AGAIN):
        entity = n if n < count else int(count * chance.random() ** 3)
        patch = {"available": n % 97, f"f{n % 10}": n, "note": "y" * 40}
        yield Envelope(
            type="Changed", id=f"m{n}", source="/bench", stream=f"e-{entity}",
            data=b"null" if n % 500 == 499 else json.dumps(patch).encode(),
        )  # fmt: skip


def _scanned(line: Any, *, of: int) -> float:
    """Return the seconds in which `of` processes look at every event for what never holds."""
    from django.db import connection

    from apps.projections.expression import Expression
    from apps.projections.queries import scanning

    expression = Expression("state.available < -1000000000")
    names = scanning.quick(expression, "")
    assert names is not None
    shares = scanning.shares(line, of, after=0, upto=line.head)
    connection.close()

    def scan(share: int) -> None:
        scanning.scan_fields(
            line, "", expression, names, after=0, upto=line.head, tell=lambda checked, at: True,
            share=shares[share],
        )  # fmt: skip

    def both() -> None:
        children = []
        for share in range(1, of):
            if not (child := os.fork()):
                scan(share)
                os._exit(0)
            children.append(child)
        scan(0)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0

    return _timed(both)


def _blamed(count: int) -> float:
    """Return how many times as long as a fold one takes that says who set what."""
    from apps.projections import blame, merge
    from apps.projections.exact import MISSING

    patches = _patches(min(count, 20_000))

    def plain() -> None:
        state: Any = MISSING
        for patch in patches:
            state = merge.apply(state, patch)

    def marked() -> None:
        state: Any = MISSING
        marks: Any = MISSING
        for n, patch in enumerate(patches, 1):
            state, marks = blame.applied(state, marks, patch, n)

    best = [min(_timed(work) for _ in range(5)) for work in (marked, plain)]
    return best[0] / best[1]


def _peer(count: int, seeks: int, *, spaced: bool) -> dict[str, Any]:
    from eventsourcing.application import Application
    from eventsourcing.domain import Aggregate, event

    class Entity(Aggregate):
        def __init__(self) -> None:
            self.state: dict[str, Any] = {}

        @event("Changed")
        def change(self, patch: dict[str, Any]) -> None:
            self.state.update(patch)

    class Entities(Application):
        is_snapshotting_enabled = spaced
        snapshotting_intervals: ClassVar[Any] = {Entity: SPACING} if spaced else {}

    folder = Path(os.environ["EVDEBUG_DATA"])
    folder.mkdir(parents=True, exist_ok=True)
    app = Entities(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(folder / f"peer-{spaced}.sqlite3"),
        }
    )
    entity = Entity()
    for n, patch in enumerate(_patches(count), 1):
        entity.change(patch)
        if n % SPACING == 0 or n == count:
            app.save(entity)
    number = entity.id

    # Its version 1 is the creation, so after n events it is at version n + 1.
    def seek(at: int) -> float:
        return _timed(lambda: app.repository.get(number, version=at + 1))

    warm = [seek(at) for at in _moments(count, seeks)]
    middle: Any = app.repository.get(number, version=count // 2 + 1)
    return {"seeks": warm, "state": middle.state}


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
