"""Two runs side by side: stored by one process, read back and compared by another."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.steps import database

BATCH = 5000


def run(*, count: int, store: bool) -> dict[str, float]:
    """Store two runs of `count` events, or return the seconds of comparing those stored."""
    if store:
        _store(count)
        return {}
    return {"seconds": _compare(count)}


def _store(count: int) -> None:
    from apps.eventlog.commands.append import append
    from apps.eventlog.commands.systems import create_system, fork
    from apps.eventlog.envelope import Envelope
    from apps.eventlog.queries import log

    database.migrate()
    create_system("compared")
    line = log.line("compared")

    def envelopes(*, edited: bool) -> Iterator[Envelope]:
        for n in range(count):
            if edited and n % 1009 == 0:
                continue
            value = -n if edited and n % 997 == 0 else n
            cause = f"id-{n - 1}" if n % 3 else ""
            data = b'{"n":%d,"text":"%s"}' % (value, b"x" * 200)
            yield Envelope(type=f"T{n % 9}", id=f"id-{n}", source="/s", stream=f"e-{n % 900}",
                           time=n, causation=cause, data=data)  # fmt: skip

    for side, edited in ((line, False), (fork(line, base=0), True)):
        made = list(envelopes(edited=edited))
        for start in range(0, len(made), BATCH):
            append(side, made[start : start + BATCH])


def _compare(count: int) -> float:
    from apps.eventlog.models import Timeline
    from apps.eventlog.places import Line
    from apps.eventlog.queries import log
    from apps.sandbox.commands.settle import compared
    from apps.sandbox.compare import Entry, compare

    def entries(line: Line) -> Iterator[Entry]:
        after = 0
        while rows := log.read(line, after=after, limit=BATCH):
            yield from map(compared, rows)
            after = rows[-1].position

    main = log.line("compared")
    forks = Timeline.objects.filter(system=main.system).exclude(pk=main.timeline)
    other = log.line_of(forks.get().pk)
    begun = time.perf_counter()
    found = compare(list(entries(main)), list(entries(other)))
    took = time.perf_counter() - begun
    assert found.missing == len(range(0, count, 1009))
    assert found.changed
    assert not found.new
    return took
