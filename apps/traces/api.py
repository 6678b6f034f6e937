"""Traces in the JSON API. Who may read which line is decided where this is mounted."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router
from ninja.errors import HttpError

from apps.eventlog import shapes
from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.traces.audience import jsonable_subscriber
from apps.traces.deliveries import service
from apps.traces.problem import CODES
from apps.traces.queries import lists
from apps.traces.queries import traces as single
from apps.traces.queries.audience import audience
from apps.traces.queries.untold import untold

router = Router(tags=["traces"])

_Path: Any = Path
_Query: Any = Query
SYSTEM = _Path(..., description="The system's name, as in addresses.")
WHICH = _Path(..., description="A position, a correlation id, or an event's id.")
TIMELINE = _Query(None, description="A sandbox's timeline; without it the system's own.")
AT = _Query("", description="As of this position or RFC 3339 time; without it the head.")
QUERY = _Query("", description="At least one event of the trace matches this query.")
POSITION = _Path(..., description="The event's place in the log.")
AFTER = _Query(None, description="Only reports after this position.")
BEFORE = _Query(None, description="Only traces that begin before this position.")
LIMIT = _Query(50, ge=1, description=f"At most {lists.LIMIT}.")
PROBLEM = _Query("", description=f"any, or one of {', '.join(CODES)}.")
KIND = _Query("", description="The type of the first event.")
VARIANT = _Query("", description="The shape of the trace, as the list gives it.")


@router.get(
    "/{slug:system}/events/{int:position}/deliveries",
    openapi_extra={"responses": {200: {"description": "OK", "content": {"application/json": {
        "schema": {"$ref": f"#/components/schemas/{shapes.Deliveries.__name__}"}}}}}},
)  # fmt: skip
def deliveries(
    request: HttpRequest,
    system: str = SYSTEM,
    position: int = POSITION,
    at: str = AT,
    after: int | None = AFTER,
    limit: int = _Query(1000, ge=1, description="At most 1000."),
    timeline: int | None = TIMELINE,
) -> Any:
    """Return what is known of an event's deliveries as of a moment, and on what evidence.

    First what was reported, oldest first, then what only an effect betrays, then the usual
    subscribers nothing is known of: their outcome is unknown. The latter two have no position.
    """
    line = _line(request)
    upto = _moment(line, at)
    if not 0 < position <= line.head:
        raise HttpError(404, f"There is no event #{position}.")
    found = single.deliveries_of(line, position, upto=upto) or []
    told = sorted((d for d in found if d.position is not None), key=lambda d: d.position or 0)
    told = [d for d in told if after is None or (d.position or 0) > after]
    page, more = told[: min(limit, 1000)], len(told) > min(limit, 1000)
    if not more:
        page = page + [d for d in found if d.position is None]
    return _answer({
        "deliveries": [single.jsonable_delivery(d) for d in page],
        "next": page[-1].position if more else None,
    })  # fmt: skip


@router.get("/{slug:system}/traces")
def traces(
    request: HttpRequest,
    system: str = SYSTEM,
    query: str = QUERY,
    at: str = AT,
    before: int | None = BEFORE,
    limit: int = LIMIT,
    problem: str = PROBLEM,
    kind: str = KIND,
    variant: str = VARIANT,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return the traces begun by a moment, newest first, each as it was then.

    `next` is the `before` of the next page, null after the last one. `complete` is false when the
    search for a filter stopped early; it goes on at `next`. `read` is the position up to which
    traces are known.
    """
    line = _line(request)
    if problem and problem not in ("any", *CODES):
        raise HttpError(422, f"problem: {problem[:80]!r}; expected any, {', '.join(CODES)}.")
    found = lists.traces(
        line, at=_moment(line, at), before=before, limit=limit, query=query, problem=problem,
        kind=kind, shape=variant,
    )  # fmt: skip
    return _answer({
        "traces": [lists.jsonable_listed(t) for t in found.traces],
        "next": found.next, "complete": found.complete, "read": found.read,
    })  # fmt: skip


@router.get("/{slug:system}/traces/{which}")
def trace(
    request: HttpRequest,
    system: str = SYSTEM,
    which: str = WHICH,
    at: str = AT,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return one trace as of a moment: its events, what caused what, and who was told."""
    line = _line(request)
    upto = _moment(line, at)
    single.fresh(line)
    view = single.find(line, which, upto=upto)
    if view is None or view.tree.root is None:
        raise HttpError(404, f"There is no trace {which[:80]!r} as of #{upto}.")
    return _answer(single.jsonable_trace(view))


@router.get("/{slug:system}/subscribers")
def subscribers(
    request: HttpRequest,
    system: str = SYSTEM,
    at: str = AT,
    name: str = _Query("", max_length=1024, description="Only this one."),
    since: int = _Query(0, ge=0, lt=1 << 62, description="What was told after this position."),
    timeline: int | None = TIMELINE,
) -> Any:
    """Return who was told anything by a moment, most deliveries first, at most 200 of `count`.

    Attempts by outcome are of the whole log. `observed` (=1, ≥1, ≤1: how often an event is
    handled), `retries`, `evidence` and `types` are of the newest deliveries of each. `nobody` are
    types of events of whose newest nobody is known to be told.
    """
    line = _line(request)
    moment = _moment(line, at)
    found = audience(line, at=moment, since=since, only=service(name))
    told = {kind for each in found.subscribers for kind in each.types}
    nobody = [] if name else untold(line, at=moment, since=since, told=told)
    return _answer({
        "subscribers": [jsonable_subscriber(each) for each in found.subscribers],
        "count": found.total,
        "nobody": [{"type": n.type, "events": n.events, "looked_at": n.seen} for n in nobody],
    })  # fmt: skip


def _line(request: HttpRequest) -> Line:
    return cast(Line, request.auth)  # type: ignore[attr-defined]


def _moment(line: Line, at: str) -> int:
    try:
        return log.moment(line, at)
    except QueryError as error:
        error.parameter = "at"
        raise


def _answer(value: Any) -> HttpResponse:
    body = msgspec.json.encode(value)
    return HttpResponse(body, "application/json", headers={"Cache-Control": "private, no-store"})
