"""Append events to an empty log, or with bulk_create to the plain table; time only the writing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import create_system
from apps.eventlog.envelope import Envelope
from bench.flows import events
from bench.models import Plain, plain
from bench.steps import database

Write = Callable[[list[Envelope], int], float]


def run(*, side: str, count: int, batch: int, chunk: int = 0) -> dict[str, Any]:
    """Write `count` events in batches.

    Returns  rate     events a second, of the writing alone
             bytes    of the database per event
             chunks   seconds for each `chunk` events, when `chunk` is given
    """
    database.migrate()
    before = database.size()
    write = {"log": to_log, "bulk_create": to_plain}[side]()
    made = events()
    seconds: list[float] = []
    for _ in range(0, count, batch):
        envelopes = list(islice(made, batch))
        now = envelopes[-1].time
        assert now is not None
        seconds.append(write(envelopes, now))
    per_chunk = chunk // batch if chunk else len(seconds)
    return {
        "rate": count / sum(seconds),
        "bytes": (database.size() - before) / count,
        "chunks": [sum(seconds[n : n + per_chunk]) for n in range(0, len(seconds), per_chunk)],
    }


def to_log() -> Write:
    """Return how a batch is appended to a new system's log."""
    line = create_system("bench")

    def write(envelopes: list[Envelope], now: int) -> float:
        started = time.perf_counter()
        append(line, envelopes, now=now)
        return time.perf_counter() - started

    return write


def to_plain() -> Write:
    """Return how a batch is written by Django: its objects are part of the way, parsing is not."""

    def write(envelopes: list[Envelope], now: int) -> float:
        values = [json.loads(e.data) for e in envelopes]
        started = time.perf_counter()
        Plain._default_manager.bulk_create(
            [plain(e, value, now) for e, value in zip(envelopes, values, strict=True)]
        )
        return time.perf_counter() - started

    return write
