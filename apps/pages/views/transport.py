"""The transport's own requests: its drawing, and where a step or a typed moment leads."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.eventlog.queries import log
from apps.pages.queries.dock import dock
from apps.pages.tiles import shown
from apps.pages.views.events import page
from apps.pages.views.frame import Frame, is_part, of_system
from apps.pages.views.touring import note_progress
from apps.pages.words import visible

# Pages that say something of their own beside the title.
OWN = re.compile(r"/[^/]+/(live|sandboxes|state(/.*)?)")


@require_GET
@of_system
def timeline(request: HttpRequest, frame: Frame) -> HttpResponse:
    """Bars, marks and axis of the window `zoom=`, with all the log holds by now."""
    if not is_part(request):
        return page(frame, request)
    drawn = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
    asks = urlsplit(request.headers.get("HX-Current-URL", "")).path
    part = not OWN.fullmatch(asks)
    context = {"frame": frame, "params": frame.params, "dock": drawn, "part": part}
    return render(request, "pages/_timeline.html", context)


@require_GET
@of_system
def moment(request: HttpRequest, frame: Frame) -> HttpResponse:
    """Where `at=` and `go=` lead, as JSON: {"position","ms","text","found"}."""
    at = frame.at
    if at.problem:
        return JsonResponse({"code": "bad_moment", "detail": at.problem}, status=422)
    note_progress(request, frame)
    event = log.event(frame.line, at.position) if at.position else None
    words = [visible(event.type), shown(event.source), visible(event.stream)] if event else []
    return JsonResponse(
        {
            "position": at.position,
            "ms": None if at.time is None else at.time / 1000,
            "text": ", ".join(filter(None, words)) or "before the first event",
            "found": at.found,
        }
    )
