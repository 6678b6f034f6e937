"""The reader: from the log to traces and what is usual of them, page by page.

A page is read and summed up without a lock, then written in one transaction that also moves the
checkpoint, and only if the checkpoint is still where the page began. So a page counts once,
whoever reads it and however often; and since a trace is always summed up as a whole, as of the end
of the page, rebuilding comes to the same rows and sums.
"""

from __future__ import annotations

import json
import struct
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from django.db import transaction

from apps.eventlog.outline import Outline
from apps.eventlog.places import Line
from apps.eventlog.queries import outlines
from apps.traces import deliveries, problems, store, timing, typical
from apps.traces.carried import group_of
from apps.traces.models import Checkpoint, Figure, Trace
from apps.traces.tree import assemble

PAGE = 4000  # positions
LARGE = 5000  # events and deliveries of a trace that are looked at; more only count

_COLUMNS = (
    "timeline", "correlation", "root", "first", "last", "kind", "variant", "flags", "duration",
    "events", "figures",
)  # fmt: skip


class Row(NamedTuple):
    """A row of Trace, in order of its columns."""

    timeline: int
    correlation: int | None
    root: int
    first: int
    last: int
    kind: int
    variant: str
    flags: int
    duration: int
    events: int
    figures: bytes


class Page(NamedTuple):
    """What one page of the log changes."""

    rows: list[Row]
    keys: dict[int, tuple[int, str]]  # digest -> kind and key of the figures the rows name
    grown: dict[int, tuple[int, int]]  # trace -> events more, last position: of the largest
    gone: list[int]  # roots that turned out to be effects
    subscribers: dict[str, tuple[int, int]]
    links: list[tuple[int, int]]  # digest of a group, position
    trace_ids: dict[int, int]  # digest -> first position


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
    page = _read(line, after, upto)
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


def _read(line: Line, after: int, upto: int) -> Page:
    fresh = outlines.page(line, after=after, upto=upto)
    late = outlines.late_effects(line, after=after, upto=upto)
    touched = [o for o in (*fresh, *late) if o.kind != "progress"]
    page = Page([], {}, {}, [], _subscribers(fresh), _links(fresh), {})
    for position, span in outlines.span_ids(line, after=after, upto=upto):
        page.trace_ids.setdefault(digest(span.partition("-")[0]), position)
    numbers = {o.correlation for o in touched if o.correlation is not None}
    large = _large(line, numbers)
    _count_large(page, large, fresh)
    groups: dict[int, list[Outline]] = {}
    for o in outlines.correlated(line, numbers - large.keys(), upto=upto):
        if o.correlation is not None:
            groups.setdefault(o.correlation, []).append(o)
    for number, group in groups.items():
        _add(page, line, number, group, upto)
    _closures(page, line, touched, upto)
    return page


def _links(fresh: Iterable[Outline]) -> list[tuple[int, int]]:
    return [(digest(name), o.position) for o in fresh if o.data and (name := group_of(o))]


def _subscribers(fresh: Iterable[Outline]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for o in fresh:
        if o.kind == "delivery":
            name = deliveries.service(o.source)
            found[name] = (found.get(name, (o.position, 0))[0], o.position)
    return found


def _large(line: Line, numbers: Iterable[int]) -> dict[int, int]:
    """Return the traces among `numbers` that are summed up already and only grow: their rows."""
    found: dict[int, int] = {}
    for clause, values in store.among(sorted(numbers)):
        found |= dict(store.fetch(
            f"SELECT correlation, id FROM traces_trace WHERE timeline = %s AND correlation {clause}"
            " AND events >= %s", [line.timeline, *values, LARGE],
        ))  # fmt: skip
    return found


def _count_large(page: Page, large: dict[int, int], fresh: Sequence[Outline]) -> None:
    if large:
        for o in fresh:
            if o.correlation in large:
                row = large[o.correlation]
                page.grown[row] = (page.grown.get(row, (0, 0))[0] + 1, o.position)


def _closures(page: Page, line: Line, touched: Sequence[Outline], upto: int) -> None:
    """Sum up the traces without a correlation id: all that descends from a first cause."""
    effects = [
        o.position
        for o in touched
        if o.correlation is None and o.cause is not None and o.cause <= upto
    ]
    if not effects:
        return
    origins = outlines.origins(line, effects, upto=upto)
    page.gone.extend(p for p, root in origins.items() if p != root)
    free = [o.position for o in outlines.at(line, set(origins.values())) if o.correlation is None]
    for root, members in outlines.closures(line, free, upto=upto).items():
        _add(page, line, None, members, upto)
        page.gone.extend(o.position for o in members if o.position != root)


def _add(page: Page, line: Line, number: int | None, group: list[Outline], upto: int) -> None:
    seen = group[:LARGE]
    tree = assemble(seen, upto=upto)
    if tree.root is None:
        return
    delivered = deliveries.of_tree(tree)
    began, ended = timing.span(tree, delivered, timing.skews(tree, delivered))
    kind = digest(tree.root.type)
    sums: list[int] = []
    for key, count in typical.figures(tree, delivered).items():
        number_of, text = figure(kind, key)
        page.keys[number_of] = (kind, text)
        sums += [number_of] * count
    sums.sort()
    there = [
        *tree.events, *(o.position for o in tree.around),
        *(r.position for found in (tree.reports, tree.spans) for rs in found.values() for r in rs),
    ]  # fmt: skip
    large = len(group) >= LARGE
    page.rows.append(Row(
        line.timeline, number, tree.root.position, min(there),
        group[-1].position if large else max(there), kind, typical.variant(tree),
        problems.flags(tree, delivered), ended - began,
        len(group) if large else typical.shown(tree), struct.pack(f"<{len(sums)}q", *sums),
    ))  # fmt: skip


def digest(*parts: str) -> int:
    """Return 64 bits that stand for some texts."""
    raw = json.dumps(parts, ensure_ascii=False).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "little", signed=True)


@lru_cache(maxsize=100_000)
def figure(kind: int, key: typical.Key) -> tuple[int, str]:
    """Return the digest and the text of a figure of a kind."""
    return digest(str(kind), *key), json.dumps(key, ensure_ascii=False)


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
