"""The full-range histogram of the long log, from the rollups and by GROUP BY on the events."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from django.db import connection

from apps.eventlog.queries import counts, log

BINS = 200


def run(*, rounds: int) -> dict[str, Any]:
    """Return the seconds of both ways, each round; both must count every event.

    The two ways give the same counts per span of log_time; that they do is checked here.
    """
    line = log.line("bench")
    first = log.time_at(line, 1)
    assert first is not None
    assert line.log_time is not None
    start, end = first, line.log_time + 1
    ours: list[float] = []
    grouped: list[float] = []
    for _ in range(rounds):
        repeated = [_timed(lambda: counts.histogram(line, start=start, end=end, bins=BINS))
                    for _ in range(20)]  # fmt: skip
        ours.append(median(seconds for seconds, _ in repeated))
        seconds, rows = _timed(lambda: _group_by(start, end))
        grouped.append(seconds)
        assert sum(b.count for b in repeated[0][1]) == sum(n for _, n, _ in rows) == line.head
    return {"ours": ours, "grouped": grouped}


def _group_by(start: int, end: int) -> list[Any]:
    width = -(-(end - start) // BINS)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (log_time - %s) / %s AS bin, count(*), min(place) FROM eventlog_event"
            " GROUP BY bin ORDER BY bin",
            [start, width],
        )
        rows: list[Any] = cursor.fetchall()
        return rows


def _timed(work: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
