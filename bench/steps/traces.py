"""Traces out of a long log: the reader's rate, one trace of each size, and the list."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec

from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import create_system
from apps.eventlog.envelope import Envelope, isoformat
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.traces.commands.follow import rebuild
from apps.traces.queries import lists, traces
from bench.machine import resident_peak
from bench.steps.database import migrate

START = 1_778_000_000_000_000
EVENTS, TOLD = 15, 2  # events of a trace, deliveries of each
SERVICES = ("web", "orders", "payments", "stock", "shipping", "email")
BATCH = 5000


def run(*, count: int, times: int, giant: int) -> dict[str, Any]:
    """Make `count` traces and some large ones, read them, and return rates and seconds."""
    migrate()
    line = create_system("bench")
    batch: list[Envelope] = []
    for n in range(count):
        batch += trace(f"t{n}", EVENTS, START + n * 25_000, correlated=n % 10 > 0)
        if len(batch) >= BATCH:
            append(line.timeline, batch)
            batch = []
    append(line.timeline, batch)
    for size in (1000, giant):
        for correlated in (True, False):
            made = trace(f"large-{size}-{correlated}", size, START, correlated=correlated, told=0)
            while part := list(islice(made, BATCH)):
                append(line.timeline, part)
    line = log.line("bench")
    begun = time.perf_counter()
    rebuild(line)
    answer: dict[str, Any] = {
        "rows": line.head, "reader": line.head / (time.perf_counter() - begun)
    }  # fmt: skip
    answer |= _timed(line, count, times, giant)
    return answer


def trace(
    name: str, size: int, start: int, *, correlated: bool, told: int = TOLD
) -> Iterator[Envelope]:
    """Yield the events and deliveries of one trace: a tree of about four levels per hundred."""
    for n in range(size):
        at = start + n * 40_000
        by = SERVICES[n % len(SERVICES)]
        yield Envelope(
            type=f"Step{n % 15}", id=f"{name}-{n}", source=f"/{by}", time=at,
            stream=f"{name[:20]}", correlation=name if correlated else "",
            causation=f"{name}-{(n - 1) // 2}" if n else "", data=b'{"amount":129.00}',
        )  # fmt: skip
        for m in range(told):
            subscriber = SERVICES[(n + m + 1) % len(SERVICES)]
            begun, done = isoformat(at + 1000), isoformat(at + 9000)
            data = msgspec.json.encode({"attempt": 1, "started_at": begun, "finished_at": done})
            yield Envelope(
                kind="delivery", type="handled", source=subscriber, time=at + 9000,
                id=f"{name}-{n}-{m}", causation=f"{name}-{n}", data=data,
            )  # fmt: skip


def _timed(line: Line, count: int, times: int, giant: int) -> dict[str, Any]:
    rng = random.Random(7)
    places = EVENTS * (1 + TOLD)

    def first(*, correlated: bool) -> int:
        n = rng.randrange(count // 10) * 10 + (rng.randrange(1, 10) if correlated else 0)
        return n * places + 1

    traces.jsonable_trace(_of(line, first(correlated=True)))  # what is usual, read once
    large = count * places + 1
    starts = {
        "1000": large, "1000 without id": large + 1000,
        "giant": large + 2000, "giant without id": large + 2000 + giant,
    }  # fmt: skip
    few = max(3, times // 40)
    answer: dict[str, Any] = {
        "15": _seconds(times, lambda: _whole(line, first(correlated=True))),
        "15 without id": _seconds(times, lambda: _whole(line, first(correlated=False))),
        "list": _seconds(times, lambda: lists.traces(line, at=rng.randint(1, large))),
    }
    for name in ("1000", "1000 without id"):
        answer[name] = _seconds(few * 2, lambda: _whole(line, starts[name]))  # noqa: B023
    before = resident_peak()
    for name in ("giant", "giant without id"):
        answer[name] = _seconds(3, lambda: _assembled(line, starts[name]))  # noqa: B023
    return answer | {"giant memory": resident_peak() - before, "resident": resident_peak()}


def _of(line: Line, position: int) -> traces.View:
    view = traces.of_position(line, position, upto=line.head)
    assert view is not None
    return view


def _whole(line: Line, position: int) -> None:
    """Take a trace as the API answers it."""
    msgspec.json.encode(traces.jsonable_trace(_of(line, position)))


def _assembled(line: Line, position: int) -> None:
    view = _of(line, position)
    assert len(view.tree.order) > 1
    assert view.delivered is not None


def _seconds(times: int, action: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return taken
