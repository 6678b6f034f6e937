"""The Live page: the flow of a system as of the playhead; at the live edge a socket moves it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET, require_POST

from apps.access.errors import NotAllowed
from apps.audits.commands.mute import mute
from apps.eventlog.errors import QueryError
from apps.live.queries.counting import counted, hops
from apps.pages import nav
from apps.pages.consumers import edge
from apps.pages.queries import live as drawing
from apps.pages.queries.dock import dock
from apps.pages.queries.tail import tail
from apps.pages.views.frame import Frame, of_system


@require_GET
@of_system
def live(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The whole page."""
    query = request.GET.get("tail", "")[:2000]
    drawn, error = _drawn(request, frame, query)
    context: dict[str, Any] = {
        "frame": frame, "params": frame.params, "page": nav.page("pages:live"), "title": "Live",
        "views": drawing.VIEWS, "look": _look(request), "tail": query, "error": error,
        "services": sorted(hops(frame.line)) if frame.line.head else [],
        "rows": drawn["rows"], "parts": drawn["parts"],
    }  # fmt: skip
    if frame.draw and frame.line.head:
        context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
    return render(request, "live/live.html", context, status=422 if error else 200)


@require_GET
@of_system
def moment(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The parts and rows as of the playhead, in the shape of a frame of the socket."""
    drawn, error = _drawn(request, frame, request.GET.get("tail", "")[:2000])
    if error is not None:
        return JsonResponse({"code": "bad_query", "detail": error.message}, status=422)
    return JsonResponse(drawn)


def _drawn(
    request: HttpRequest, frame: Frame, query: str
) -> tuple[dict[str, Any], QueryError | None]:
    line, at, look = frame.line, frame.at, _look(request)
    now = edge(line) if at.live else at.time
    counters = counted(line, at=at.position)
    parts = drawing.parts(line, counters, now=now, looks=[look], edge=at.live)
    # Those of the look come after those of all.
    shown = {name.partition(":")[0]: mark_safe(html) for name, html in parts.items()}  # noqa: S308 - drawn by our templates
    rows, error = "", None
    try:
        rows = "".join(r.html for r in reversed(tail(line, query, at=at.position)))
    except QueryError as wrong:
        error = wrong
    time = None if at.time is None else at.time / 1000
    drawn = {"head": at.position, "time": time, "parts": shown, "rows": mark_safe(rows)}  # noqa: S308
    return drawn, error


def _look(request: HttpRequest) -> drawing.Look:
    return drawing.look(request.GET.get("view", "")) or drawing.Look(drawing.VIEWS[0][0])


@require_POST
@of_system
def muted(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """Mute a finding for an hour, for everybody; `for=0` ends that."""
    if not frame.may("debugger"):
        raise NotAllowed(needed="debugger", role=frame.role)
    hours = 0 if request.POST.get("for") == "0" else 1
    mute(frame.line, number, by=frame.actor, time=timedelta(hours=hours))
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Trigger": "muted"})
    return redirect("pages:live", system=frame.slug)
