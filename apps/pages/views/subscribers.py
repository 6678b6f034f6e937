"""Subscribers: who is told what, how well, and how far behind, as of the playhead."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.pages.nav import page
from apps.pages.queries import subscribers as drawn
from apps.pages.queries.dock import dock
from apps.pages.queries.services import cast
from apps.pages.tiles import plain
from apps.pages.views.frame import Frame, is_part, of_system
from apps.traces.queries.audience import audience

PAGE = page("pages:subscribers")
VIEWS = (("matrix", "Matrix"), ("table", "Table"))
NAME_MAX = 1024
ERRORS = 5  # different ones shown


@require_GET
@of_system
def subscribers(request: HttpRequest, frame: Frame) -> HttpResponse:
    """All subscribers; beside them one of them, closer, where `who` names it."""
    context = _found(request, frame)
    if is_part(request):
        return render(request, "pages/_subscribers.html", context)
    if frame.draw and frame.line.head:
        context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
    return render(request, "pages/subscribers.html", context)


def _found(request: HttpRequest, frame: Frame) -> dict[str, Any]:
    view = request.GET.get("view", "")
    view = view if view in dict(VIEWS) else "matrix"
    only, who = request.GET.get("only") == "problems", request.GET.get("who", "")[:NAME_MAX]
    at, known = frame.at.position, cast(frame.line.system)
    every = audience(frame.line, at=at)
    now = frame.at.time or 0
    shown = [one for one in every.subscribers if one.has_problem or not only]
    table = drawn.table(frame.line, shown, known, now=now)
    here = {name: [value] for name, value in (("view", request.GET.get("view", "")[:20]),
                                              ("only", "problems" if only else ""),
                                              ("who", who)) if value}  # fmt: skip
    context = {
        "frame": frame, "params": frame.params | here, "page": PAGE, "title": "Subscribers",
        "view": view, "views": VIEWS, "only": only, "table": table, "count": every.total,
        "all": len(every.subscribers), "who": who,
    }  # fmt: skip
    if who:
        context |= _closer(frame, who, known, now)
    return context


def _closer(frame: Frame, who: str, known: Any, now: int) -> dict[str, Any]:
    found = audience(frame.line, at=frame.at.position, only=plain(who)).subscribers
    if not found:
        return {"nobody": True}
    table = drawn.table(frame.line, found, known, now=now)
    one = table.rows[0]
    kinds = [(tile, square) for (_, tile), square in zip(table.types, one.squares, strict=True)]
    errors = one.of.errors.most_common(ERRORS)
    return {"one": one, "kinds": kinds, "evidence": drawn.evidence(one.of), "errors": errors}
