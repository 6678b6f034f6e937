"""The list of traces, newest first, each as of the moment of the list."""

from __future__ import annotations

from typing import Any, NamedTuple

from apps.eventlog.envelope import isoformat
from apps.eventlog.outline import Outline
from apps.eventlog.places import Line
from apps.eventlog.queries import log, outlines
from apps.eventlog.queries.search import search
from apps.traces import problems, store
from apps.traces.problem import FLAGS
from apps.traces.queries import usual
from apps.traces.queries.changes import LARGE, digest
from apps.traces.queries.traces import View, fresh, of_position
from apps.traces.typical import Typical, variant

LIMIT = 200
SCANNED = 600  # traces looked at for one page of a filtered list
MATCHED = 400  # events a query looks through for one page


class Listed(NamedTuple):
    """A trace as a row of the list. Times are microseconds."""

    root: int
    correlation: str
    type: str
    source: str
    stream: str
    started: int
    duration: int
    events: int
    services: list[str]
    codes: list[str]  # of its problems, the worst first
    variant: str
    usual: Typical


class Listing(NamedTuple):
    """A page of the list. `next` goes on after it; `read` is how far the reader has come."""

    traces: list[Listed]
    next: int | None
    complete: bool
    read: int


_SELECT = (
    "SELECT first, correlation, root, flags, events FROM traces_trace"
    " WHERE timeline = %s AND first <= %s AND first < %s"
)


def traces(
    line: Line, *, at: int, before: int | None = None, limit: int = 50, query: str = "",
    problem: str = "", kind: str = "", shape: str = "",
) -> Listing:  # fmt: skip
    """Return the traces begun by `at`, newest first, as they were then.

    query    at least one event matches it
    problem  a code of problem.CODES, or "any"
    kind     the root's type;  shape  a variant
    raises   QueryError
    """
    limit = max(1, min(limit, LIMIT))
    read = fresh(line)
    if query:
        return _matching(line, query, at=at, before=before, limit=limit, read=read)
    found: list[Listed] = []
    bound, scanned = before if before is not None else at + 1, 0
    while scanned < SCANNED:
        step = limit - len(found) if not (problem or shape) else 100
        rows = _rows(line, at, bound, step, problem, kind)
        views = _views(line, rows, at)
        for row, view in zip(rows, views, strict=True):
            bound, scanned = row[0], scanned + 1
            if view is None or not view.tree.events:
                continue
            listed = _listed(view)
            if _fits(listed, problem, shape):
                found.append(listed)
                if len(found) == limit:
                    return Listing(found, bound, True, read)
        if len(rows) < step:
            return Listing(found, None, True, read)
    return Listing(found, bound, False, read)


def _rows(
    line: Line, at: int, bound: int, limit: int, problem: str, kind: str
) -> list[tuple[int, int | None, int, int, int]]:
    sql, values = _SELECT, [line.timeline, at, bound]
    if kind:
        sql += " AND kind = %s"
        values.append(digest(kind))
    if problem in FLAGS:
        sql += " AND (flags / %s) %% 2 = 1"
        values.append(1 << FLAGS.index(problem))
    return store.fetch(f"{sql} ORDER BY first DESC LIMIT %s", [*values, limit])


def _fits(listed: Listed, problem: str, shape: str) -> bool:
    if problem and not (problem in listed.codes or (problem == "any" and listed.codes)):
        return False
    return not shape or listed.variant == shape


def _views(line: Line, rows: list[Any], at: int) -> list[View | None]:
    """Assemble the traces of some rows with two reads."""
    numbers = [row[1] for row in rows if row[1] is not None and row[4] < LARGE]
    groups: dict[int, list[Outline]] = {}
    for o in outlines.correlated(line, numbers, upto=at):
        groups.setdefault(o.correlation or 0, []).append(o)
    names = outlines.correlation_names(row[1] for row in rows if row[1] is not None)
    now = log.time_at(line, at)
    streams: dict[int, list[View]] = {}
    made: list[View | None] = []
    free = [row[2] for row in rows if row[1] is None]
    origins = outlines.origins(line, free, upto=at) if free else {}
    closures = outlines.closures(line, origins.values(), upto=at)
    for _, number, root, _, events in rows:
        if number is None:
            view = View(line, closures[origins[root]], None, at)
        elif events < LARGE:
            view = View(line, groups.get(number, []), number, at)
        else:
            view = View(line, outlines.correlated(line, [number], upto=at)[:LARGE], number, at)
        view.now = now
        view.name = names.get(number, "") if number is not None else ""
        made.append(view)
        if view.tree.root is not None and view.tree.root.stream is not None:
            streams.setdefault(view.tree.root.stream, []).append(view)
    for stream, text in outlines.stream_names(streams).items():
        for view in streams[stream]:
            view.stream = text
    return made


def _listed(view: View) -> Listed:
    root = view.tree.root
    assert root is not None
    wrong = problems.problems(
        view.tree, view.delivered, usual=view.usual, now=view.now, behind=view.behind
    )
    return Listed(
        root.position, view.name, root.type, root.source, view.stream,
        view.span[0], view.duration, view.shown, view.services,
        list(dict.fromkeys(p.code for p in wrong)), variant(view.tree),
        usual.of_kind(view.line, root.type),
    )  # fmt: skip


def _matching(
    line: Line, query: str, *, at: int, before: int | None, limit: int, read: int
) -> Listing:
    """Return the traces of the events a query finds, in order of their newest match."""
    found: dict[tuple[int | None, int], Listed] = {}
    bound, complete, looked = before, True, 0
    seen: set[int] = set()
    while looked < MATCHED:
        page = search(line, query, at=at, before=bound, limit=100)
        looked += 100
        for event in page.events:
            bound = event.position
            if event.position in seen:
                continue
            view = of_position(line, event.position, upto=at)
            if view is None or view.tree.root is None:
                continue
            seen.update(view.tree.events)
            found.setdefault((view.correlation, view.tree.root.position), _listed(view))
            if len(found) == limit:
                return Listing(list(found.values()), bound, True, read)
        complete = page.complete
        if page.next is None:
            return Listing(list(found.values()), None, complete, read)
        bound = page.next
    return Listing(list(found.values()), bound, False, read)


def jsonable_listed(listed: Listed) -> dict[str, Any]:
    """Return a row in the shape of the JSON API."""
    return {
        "root": listed.root,
        "correlation": listed.correlation,
        "type": listed.type,
        "started": isoformat(listed.started),
        "duration_ms": listed.duration / 1000,
        "events": listed.events,
        "services": listed.services,
        "problems": listed.codes,
        "variant": listed.variant,
    }
