"""The reader: from the log to traces and what is usual of them, page by page.

A page is read and summed up without a lock, then written in one transaction that also moves the
checkpoint, and only if the checkpoint is still where the page began. So a page counts once,
whoever reads it and however often; and since a trace is always summed up as a whole, as of the end
of the page, rebuilding comes to the same rows and sums.
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from apps.eventlog.places import Line
from apps.traces import store
from apps.traces.models import Checkpoint, Figure, Trace
from apps.traces.queries.changes import Page, read

PAGE = 4000  # positions

_COLUMNS = (
    "timeline", "correlation", "root", "first", "last", "kind", "variant", "flags", "duration",
    "events", "figures",
)  # fmt: skip


def catch_up(line: Line, *, budget: float | None = None, page: int = PAGE) -> int:
    """Read what the log holds beyond the checkpoint, and return the position reached.

    budget  seconds after which no further page is begun; None reads all of it
    """
    deadline = None if budget is None else time.monotonic() + budget
    while True:
        after = checkpoint(line)
        if after >= line.head or (deadline is not None and time.monotonic() >= deadline):
            return after
        feed(line, after=after, upto=min(line.head, after + page))


def rebuild(line: Line) -> int:
    """Forget what was derived from a timeline and read it anew; return the position reached."""
    with transaction.atomic():
        for model in (Trace, Figure, Checkpoint):
            model.objects.filter(timeline=line.timeline).delete()
        for table in ("subscriber", "link", "traceid"):
            store.execute(f"DELETE FROM traces_{table} WHERE timeline = %s", [line.timeline])
    return catch_up(line)


def checkpoint(line: Line) -> int:
    """Return how far a timeline was read."""
    rows = store.fetch(
        "SELECT position FROM traces_checkpoint WHERE timeline = %s", [line.timeline]
    )
    return rows[0][0] if rows else 0


def feed(line: Line, *, after: int, upto: int) -> bool:
    """Take in the positions after < p <= upto; False where somebody else was quicker."""
    page = read(line, after=after, upto=upto)
    with transaction.atomic():
        Checkpoint.objects.get_or_create(timeline=line.timeline)
        moved = store.execute(
            "UPDATE traces_checkpoint SET position = %s WHERE timeline = %s AND position = %s",
            [upto, line.timeline, after],
        )
        if not moved:
            return False
        _write(line, page)
    return True


def _write(line: Line, page: Page) -> None:
    known = _known(line, page)
    change: Counter[int] = Counter()
    updated, added = [], []
    for row in page.rows:
        old = known.pop((row.correlation, None if row.correlation is not None else row.root), None)
        if old is not None:
            change.subtract(_unpacked(old[1]))
        change.update(_unpacked(row.figures))
        if old is None:
            added.append(row)
        else:
            updated.append((*row, old[0]))
    gone = [old for (number, _), old in known.items() if number is None]
    for _, packed in gone:
        change.subtract(_unpacked(packed))
    sets = ", ".join(f"{name} = %s" for name in _COLUMNS)
    store.execute_many(f"UPDATE traces_trace SET {sets} WHERE id = %s", updated)
    store.execute_many(
        f"INSERT INTO traces_trace ({', '.join(_COLUMNS)}) VALUES ({', '.join(['%s'] * 11)})",
        added,
    )
    store.execute_many("DELETE FROM traces_trace WHERE id = %s", [(row,) for row, _ in gone])
    store.execute_many(
        "UPDATE traces_trace SET events = events + %s, last = %s WHERE id = %s",
        [(count, last, row) for row, (count, last) in page.grown.items()],
    )
    _sum_up(line, page, change)
    _write_links(line, page)
    store.execute_many(
        "INSERT INTO traces_subscriber (timeline, name, first, last) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (timeline, name) DO UPDATE SET last = excluded.last",
        [(line.timeline, name, *span) for name, span in sorted(page.subscribers.items())],
    )


def _write_links(line: Line, page: Page) -> None:
    store.execute_many(
        "INSERT INTO traces_link (timeline, digest, position) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [(line.timeline, *link) for link in page.links],
    )
    store.execute_many(
        "INSERT INTO traces_traceid (timeline, digest, position) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [(line.timeline, *each) for each in sorted(page.trace_ids.items())],
    )


def _known(line: Line, page: Page) -> dict[tuple[int | None, int | None], tuple[int, bytes]]:
    """Return the rows there are of the page's traces: (correlation, or root) -> id, figures."""
    found: dict[tuple[int | None, int | None], tuple[int, bytes]] = {}
    numbers = sorted(r.correlation for r in page.rows if r.correlation is not None)
    for clause, values in store.among(numbers):
        for row, number, packed in store.fetch(
            "SELECT id, correlation, figures FROM traces_trace"
            f" WHERE timeline = %s AND correlation {clause}", [line.timeline, *values],
        ):  # fmt: skip
            found[number, None] = (row, bytes(packed))
    roots = sorted({*page.gone, *(r.root for r in page.rows if r.correlation is None)})
    for clause, values in store.among(roots):
        for row, root, packed in store.fetch(
            "SELECT id, root, figures FROM traces_trace"
            f" WHERE timeline = %s AND correlation IS NULL AND root {clause}",
            [line.timeline, *values],
        ):  # fmt: skip
            found[None, root] = (row, bytes(packed))
    return found


def _sum_up(line: Line, page: Page, change: Counter[int]) -> None:
    less = [(n, line.timeline, key) for key, n in sorted(change.items()) if n < 0]
    more = [(line.timeline, key, *page.keys[key], n) for key, n in sorted(change.items()) if n > 0]
    store.execute_many(
        "UPDATE traces_figure SET count = count + %s WHERE timeline = %s AND digest = %s", less
    )
    store.execute_many(
        "INSERT INTO traces_figure (timeline, digest, kind, key, count)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (timeline, digest)"
        " DO UPDATE SET count = traces_figure.count + excluded.count",
        more,
    )
    store.execute_many(
        "DELETE FROM traces_figure WHERE timeline = %s AND digest = %s AND count = 0",
        [(timeline, key) for _, timeline, key in less],
    )


def _unpacked(packed: bytes) -> Sequence[Any]:
    return struct.unpack(f"<{len(packed) // 8}q", packed)
