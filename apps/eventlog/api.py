"""The read API of the log. Who may read which line is decided where this is mounted.

`request.auth` is the line asked for: the system's own, or the one `timeline=` names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import msgspec
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router
from ninja.errors import HttpError

from apps.eventlog import clock, shapes
from apps.eventlog.envelope import Recorded, isoformat, jsonable
from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries import counts, log, search
from apps.eventlog.queries import streams as streaming
from apps.eventlog.terms import Value

router = Router(tags=["events"])

_Path: Any = Path
_Query: Any = Query
SYSTEM = _Path(..., description="The system's name, as in addresses.")
POSITION = _Path(..., description="The event's position.")
TIMELINE = _Query(None, description="A sandbox's timeline; without it the system's own.")
AT = _Query("", description="As of this position or RFC 3339 time; without it the head.")
QUERY = _Query("", description="A query, such as `type:A,B data.total>100 -source:web`.")
LIMIT = _Query(60, ge=1, description="At most 1000.")
AFTER = _Query(None, description="Only positions after this one.")
BEFORE = _Query(None, description="Only positions before this one.")
FROM = _Query("", alias="from", description="A position or time; the first event without it.")
TO = _Query("", description="A position or time, included; the head without it.")
BINS = _Query(60, ge=1, description="How many; at most 2000.")


def returns(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """Return what describes an answer of `shape` in OpenAPI."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}
    return {"responses": {200: {"description": "OK", "content": content}}}


def answer(value: Any) -> HttpResponse:
    """Return a JSON answer; data keeps the digits it was sent with."""
    body = msgspec.json.encode(value)
    return HttpResponse(body, "application/json", headers={"Cache-Control": "private, no-store"})


def line_of(request: HttpRequest) -> Line:
    """Return the line that whoever asks may read."""
    return cast(Line, request.auth)  # type: ignore[attr-defined]


@contextmanager
def naming(parameter: str) -> Iterator[None]:
    """Let a QueryError say which parameter its column is in."""
    try:
        yield
    except QueryError as error:
        error.parameter = parameter
        raise


def moment_of(line: Line, at: str) -> int:
    """Return the position that `at=` names."""
    with naming("at"):
        return log.moment(line, at)


def event_at(request: HttpRequest, position: int) -> Recorded:
    """Return an event, or end in a 404."""
    found = log.event(line_of(request), position)
    if found is None:
        raise HttpError(404, f"There is no event #{position}.")
    return found


@router.get("/{slug:system}/head", openapi_extra=returns(shapes.Head))
def head(request: HttpRequest, system: str = SYSTEM, timeline: int | None = TIMELINE) -> Any:
    """Return the newest position."""
    line = line_of(request)
    at = None if line.log_time is None else isoformat(line.log_time)
    return answer(shapes.Head(line.head, at, line.head))


@router.get("/{slug:system}/events", openapi_extra=returns(shapes.Events))
def events(
    request: HttpRequest,
    system: str = SYSTEM,
    query: str = QUERY,
    at: str = AT,
    before: int | None = BEFORE,
    after: int | None = AFTER,
    limit: int = LIMIT,
    order: Literal["desc", "asc"] = "desc",
    timeline: int | None = TIMELINE,
) -> Any:
    """Return a page of the events a query finds as of a moment, newest first.

    `next` is the `before` of the next page (`after` in ascending order), null after the last one.
    `complete` is false when a long scan stopped early, at `scanned_to`; it goes on at `next`.
    """
    line = line_of(request)
    page = search.search(
        line, query, at=moment_of(line, at), before=before, after=after, limit=limit,
        ascending=order == "asc",
    )  # fmt: skip
    shown = {"events": list(map(jsonable, page.events)), "next": page.next}
    scanned = {} if page.scanned_to is None else {"scanned_to": page.scanned_to}
    return answer(shown | {"complete": page.complete} | scanned)


@router.get("/{slug:system}/events/{int:position}", openapi_extra=returns(shapes.Event))
def event(
    request: HttpRequest,
    system: str = SYSTEM,
    position: int = POSITION,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return one event."""
    return answer(jsonable(event_at(request, position)))


@router.get(
    "/{slug:system}/events/{int:position}/data",
    openapi_extra={
        "responses": {
            200: {"description": "The bytes", "content": {"application/octet-stream": {}}}
        }
    },
)
def data(
    request: HttpRequest,
    system: str = SYSTEM,
    position: int = POSITION,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return an event's data exactly as it was received, as a file."""
    found = event_at(request, position)
    if found.data is None:
        raise HttpError(410, f"The data of event #{position} was deleted; its place is left.")
    name = f"event-{position}.{shapes.extension(found.content_type)}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    return HttpResponse(found.data, shapes.harmless(found.content_type), headers=headers)


@router.get("/{slug:system}/histogram", openapi_extra=returns(shapes.Histogram))
def histogram(
    request: HttpRequest,
    system: str = SYSTEM,
    first: str = FROM,
    to: str = TO,
    bins: int = BINS,
    query: str = QUERY,
    at: str = AT,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return how many events there were in each of `bins` equal spans of time, and how many failed.

    The counts sum to the events from `from` to `to`, both included.
    """
    line = line_of(request)
    moment = moment_of(line, at)
    after, start = _start(line, first)
    upto, end = _end(line, to, moment)
    found = counts.histogram(
        line, start=start, end=end, bins=bins, text=query, after=after, upto=upto
    )
    bars = [shapes.Bin(b.position, isoformat(b.time), b.count, b.failed) for b in found]
    return answer(shapes.Histogram(bars, *_coverage(found)))


def _start(line: Line, text: str) -> tuple[int, int]:
    """Return what `from` says: only positions after this one, and a time in µs."""
    low = _edge(line, "from", f"{text}..").low if text else None
    if low is None or low.is_position:
        position = max(1, min(low.at if low else 1, line.head))
        return position - 1, log.time_at(line, position) or 0
    return 0, low.at


def _end(line: Line, text: str, moment: int) -> tuple[int, int]:
    """Return what `to` says: only positions up to this one, and a time in µs not to be reached."""
    high = _edge(line, "to", f"..{text}").high if text else None
    if high is None or high.is_position:
        position = min(high.at if high else moment, moment)
        return position, (log.time_at(line, position) or 0) + (position > 0)
    return moment, high.at + 1


def _edge(line: Line, parameter: str, text: str) -> clock.Window:
    with naming(parameter):
        # A "+" of a zone that was not escaped in an address arrives as a blank.
        text = text.replace(" ", "+") if "T" in text else text
        value = Value((text,), length=max(len(text) - len(".."), 1))
        return clock.settled(clock.window(":", value), line.log_time or 0)


def _coverage(found: counts.Histogram | counts.Facets) -> tuple[Any, Any]:
    """Return `exact` and `scanned_to`, which are there only when a scan stopped early."""
    return (msgspec.UNSET, msgspec.UNSET) if found.exact else (False, found.scanned_to)


@router.get("/{slug:system}/facets", openapi_extra=returns(shapes.Facets))
def facets(
    request: HttpRequest,
    system: str = SYSTEM,
    query: str = QUERY,
    at: str = AT,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return the values of names among the events a query finds as of a moment, with counts."""
    line = line_of(request)
    found = counts.facets(line, query, at=moment_of(line, at))
    values = {name: [shapes.Value(*each) for each in some] for name, some in found.items()}
    exact, scanned_to = _coverage(found)
    return answer(shapes.Facets(**values, exact=exact, scanned_to=scanned_to))


@router.get("/{slug:system}/streams", openapi_extra=returns(shapes.Streams))
def streams(
    request: HttpRequest,
    system: str = SYSTEM,
    at: str = AT,
    category: str = "",
    prefix: str = "",
    after: str = "",
    limit: int = _Query(100, ge=1, description="At most 1000."),
    timeline: int | None = TIMELINE,
) -> Any:
    """Return the streams that exist at a moment, by name."""
    for name, text in (("category", category), ("prefix", prefix), ("after", after)):
        if "\0" in text:
            raise HttpError(422, f"{name}: a name holds no NUL.")
    line = line_of(request)
    return answer(
        streaming.streams(
            line, at=moment_of(line, at), category=category, prefix=prefix, after=after, limit=limit
        )
    )
