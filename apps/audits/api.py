"""Rules of flows and what breaks them, in the JSON API."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router

from apps.audits.queries import flows
from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries import log

router = Router(tags=["flows"])

_Path: Any = Path
_Query: Any = Query
SYSTEM = _Path(..., description="The system's name, as in addresses.")
TIMELINE = _Query(None, description="A sandbox's timeline; without it the system's own.")
AT = _Query("", description="As of this position or RFC 3339 time; without it the head.")
SINCE = _Query(0, ge=0, lt=1 << 62, description="Only what began after this position.")


@router.get("/{slug:system}/flows")
def stuck_flows(
    request: HttpRequest,
    system: str = SYSTEM,
    at: str = AT,
    since: int = SINCE,
    timeline: int | None = TIMELINE,
) -> Any:
    """Return each rule of flows with what broke it as of a moment: at most 50, the newest.

    `stuck` counts those among the newest `looked_at` beginnings whose time was over.
    """
    line = cast(Line, request.auth)  # type: ignore[attr-defined]
    moment = _moment(line, at)
    body = msgspec.json.encode(flows.jsonable(line, at=moment, since=since))
    return HttpResponse(body, "application/json", headers={"Cache-Control": "private, no-store"})


def _moment(line: Line, at: str) -> int:
    try:
        return log.moment(line, at)
    except QueryError as error:
        error.parameter = "at"
        raise
