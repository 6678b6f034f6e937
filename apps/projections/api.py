"""States in the JSON API. Who may read which line is decided where this is mounted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import msgspec
from django.http import HttpRequest, HttpResponse
from ninja import Body, Path, Query, Router, Schema
from ninja.errors import HttpError

from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections import answers, exact
from apps.projections.diff import jsonable
from apps.projections.errors import UnknownProjection, UnknownStream
from apps.projections.queries import finding, histories, states

router = Router(tags=["state"])

_Path: Any = Path
_Query: Any = Query
_Body: Any = Body
BODY = _Body(...)
SYSTEM = _Path(..., description="The system's name, as in addresses.")
STREAM = _Path(..., description="The stream's name; any characters, escaped as in addresses.")
TIMELINE = _Query(None, description="A sandbox's timeline; without it the system's own.")
AT = _Query("", description="As of this position or RFC 3339 time; without it the head.")
PROJECTION = _Query("", description="How events become a state; without it they are merged.")
BLAME = _Query("", description="1 adds which event set each field.")
FROM = _Query("", alias="from", description="A position or time; the beginning without it.")
TO = _Query("", description="A position or time; the head without it.")
FIELD = _Query("", description="A JSON pointer such as /available; without it the whole state.")
AFTER = _Query(0, ge=0, description="Only changes after this position: the `next` of a page.")
LIMIT = _Query(histories.PAGE, ge=1, description=f"At most {histories.MOST}.")


class Search(Schema):
    """What to look for, and where. A stream that ends with * means all whose names begin so."""

    stream: str = ""
    expr: str
    # `from` and `to` are positions or times.
    to: int | str | None = None
    mode: Literal["scan", "bisect"] = "scan"
    projection: str = ""


def _line(request: HttpRequest) -> Line:
    return cast(Line, request.auth)  # type: ignore[attr-defined]


def _answer(value: Any) -> HttpResponse:
    headers = {"Cache-Control": "private, no-store"}
    return HttpResponse(answers.encoded(value), "application/json", headers=headers)


def _moment(line: Line, parameter: str, text: str, *, otherwise: int | None = None) -> int:
    if not text and otherwise is not None:
        return otherwise
    try:
        return log.moment(line, text)
    except QueryError as error:
        error.parameter = parameter
        raise


@contextmanager
def _found() -> Iterator[None]:
    try:
        yield
    except (UnknownStream, UnknownProjection) as error:
        raise HttpError(404, str(error)) from error


@router.get("/{slug:system}/state/{path:stream}")
def state(
    request: HttpRequest,
    system: str = SYSTEM,
    stream: str = STREAM,
    at: str = AT,
    projection: str = PROJECTION,
    blame: str = BLAME,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return a stream's state as of a moment, and with blame=1 which event set each field.

    `state` is null before the stream's first event, and once it is deleted. `cost` says from which
    snapshot how many events were folded.
    """
    line = _line(request)
    wanted = blame not in ("", "0", "false")
    with _found():
        found = states.state_at(
            line, stream, at=_moment(line, "at", at), projection=projection, marks=wanted
        )
    return _answer(answers.state(found, marks=wanted))


@router.get("/{slug:system}/diff/{path:stream}")
def diff(
    request: HttpRequest,
    system: str = SYSTEM,
    stream: str = STREAM,
    before: str = FROM,
    to: str = TO,
    projection: str = PROJECTION,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return what changed in a stream's state between two moments, as steps in order."""
    line = _line(request)
    with _found():
        changes = states.diff(
            line,
            stream,
            before=_moment(line, "from", before, otherwise=0),
            after=_moment(line, "to", to),
            projection=projection,
        )
    return _answer({"changes": [jsonable(change) for change in changes]})


@router.get("/{slug:system}/history/{path:stream}")
def history(
    request: HttpRequest,
    system: str = SYSTEM,
    stream: str = STREAM,
    field: str = FIELD,
    at: str = AT,
    after: int = AFTER,
    limit: int = LIMIT,
    projection: str = PROJECTION,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return what a field was, one entry per change, oldest first.

    `value` is null where the field is not there; `missing` tells that from JSON's null. `next` is
    the `after` of the next page, null after the last.
    """
    line = _line(request)
    try:
        exact.at(None, field)
    except ValueError as error:
        raise HttpError(422, f"field: {error}") from error
    with _found():
        found = histories.history(
            line, stream, field=field, after=after, limit=limit, upto=_moment(line, "at", at),
            projection=projection,
        )  # fmt: skip
    return _answer({"history": [answers.entry(e) for e in found.entries], "next": found.next})


@router.post("/{slug:system}/find")
def find(
    request: HttpRequest,
    system: str = SYSTEM,
    search: Search = BODY,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return the first position in (from, to] after which an expression holds, null for none.

    `complete` is false when a long scan stopped early, at `scanned_to`.
    """
    line = _line(request)
    body = _raw(request)
    after = _moment(line, "from", _text(body.get("from")), otherwise=0)
    upto = _moment(line, "to", _text(body.get("to")))
    try:
        with _found():
            found = finding.find(
                line, search.stream, search.expr, after=after, upto=upto,
                bisect=search.mode == "bisect", projection=search.projection,
            )  # fmt: skip
    except QueryError as error:
        error.parameter = error.parameter or "expr"
        raise
    return _answer(answers.found(found))


def _raw(request: HttpRequest) -> dict[str, Any]:
    value = msgspec.json.decode(request.body)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise HttpError(422, "from and to are positions or times.")
    return str(value)
