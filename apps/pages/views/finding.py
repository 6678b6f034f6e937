"""Find the first event where…: at once where that is quick, else behind the page, with progress."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.eventlog.errors import QueryError
from apps.eventlog.queries import log
from apps.pages import links
from apps.pages.views.frame import Frame, is_part, of_system
from apps.pages.views.listing import BOUND
from apps.pages.views.states import basics
from apps.pages.views.touring import note_progress
from apps.projections.commands import searches
from apps.projections.errors import BrokenCode, UnknownProjection, UnknownStream
from apps.projections.queries import finding, states

HOW = (
    ("scan", "Scan this entity"), ("bisect", "Bisect this entity"),
    ("category", "Scan its category"), ("all", "Scan every entity"),
)  # fmt: skip


@require_GET
@of_system
def find(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The first event after which an expression holds, in a dialog or a page of its own."""
    stream, text = request.GET.get("stream", "")[:1024], request.GET.get("expr", "")[: BOUND + 1]
    how, projection = request.GET.get("how", "scan"), request.GET.get("projection", "")[:200]
    where = {"all": "*", "category": f"{stream.partition('-')[0]}-*"}.get(how, stream)
    context: dict[str, Any] = {"expr": text, "how": how, "found": None, "error": ""}
    try:
        found = _at_once(frame, where, text, bisect=how == "bisect", projection=projection)
        if found is not None:
            context |= _result(frame, found.position, text) | {"found": found}
            context["steps"] = _steps(found)
        else:
            search = searches.start(
                frame.line, where, text, after=0, upto=frame.at.position,
                owner=frame.user_id or 0, projection=projection,
            )  # fmt: skip
            context |= _followed(frame, search)
    except (QueryError, UnknownStream, UnknownProjection, BrokenCode) as error:
        context["error"] = str(error)
        context["column"] = getattr(error, "column", None)
    return _shown(request, frame, stream, context)


def _at_once(
    frame: Frame, where: str, text: str, *, bisect: bool, projection: str
) -> finding.Found | None:
    """Return what a quick search finds, None for one that is to go on behind the page."""
    wait_s = settings.FIND_WAIT_MS / 1000
    if not bisect and not wait_s:
        return None
    deadline = time.perf_counter() + wait_s
    found = finding.find(
        frame.line, where, text, upto=frame.at.position, bisect=bisect, projection=projection,
        tell=lambda checked, at: time.perf_counter() < deadline,
    )  # fmt: skip
    return found if found.complete else None


@require_GET
@of_system
def search(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """How far a search is, and what it found."""
    kept = _kept(frame, number)
    context = {"expr": kept.expression, "how": _how(kept.stream), **_followed(frame, kept)}
    if request.GET.get("part"):
        return render(request, "projections/_search.html", _more(request, frame, context))
    return _shown(request, frame, kept.stream, context)


@require_POST
@of_system
def stop(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """Stop a search of one's own."""
    kept = _kept(frame, number)
    searches.stop(kept)
    kept.refresh_from_db()
    context = {"expr": kept.expression, "how": _how(kept.stream), **_followed(frame, kept)}
    if is_part(request):
        return render(request, "projections/_search.html", _more(request, frame, context))
    address = reverse("pages:search", args=[frame.slug, number])
    return HttpResponseRedirect(address + links.query(frame.params))


def _kept(frame: Frame, number: int) -> searches.Kept:
    kept = searches.search(frame.line, number, owner=frame.user_id or 0)
    if kept is None:
        raise Http404("There is no such search.")
    return kept


def _how(stream: str) -> str:
    return "all" if stream == "*" else "category" if stream.endswith("*") else "scan"


def _followed(frame: Frame, kept: searches.Kept) -> dict[str, Any]:
    """Return how far a search is; one that nobody works on is rung for."""
    progress = searches.progress(kept)
    if progress.waiting and not (progress.stopped or progress.error):
        searches.ring(kept)
    over = progress.done or progress.stopped or bool(progress.error)
    context = {"search": kept, "progress": progress, "over": over, "error": progress.error,
               "percent": f"{progress.share:.0%}", "span": kept.upto - kept.after}  # fmt: skip
    if progress.position is not None and over:
        context |= _result(frame, progress.position, kept.expression)
    return context


def _result(frame: Frame, position: int | None, text: str) -> dict[str, Any]:
    """Return the event that was found, and what it did to the field that was asked for."""
    event = log.event(frame.line, position) if position is not None else None
    if event is None:
        return {}
    asked = [f"/{name}" for name in finding.fields_of(text)]
    steps = states.diff(frame.line, event.stream, before=event.position - 1, after=event.position)
    told = [step for step in steps if step.path in asked]
    return {"event": event, "told": told[0] if told else None}


def _steps(found: finding.Found) -> list[tuple[finding.Probe, str, str, str]]:
    """Return each step of a bisect with where it is drawn, in percent of the first stretch."""
    if not found.probes:
        return []
    low = found.probes[0].low
    span = max(1, found.probes[0].high - low)

    def share(position: int) -> float:
        return 100 * (position - low) / span

    return [
        (p, f"{share(p.low):.2f}%", f"{max(0.5, share(p.high) - share(p.low)):.2f}%",
         f"{min(99.0, share(p.position)):.2f}%")
        for p in found.probes
    ]  # fmt: skip


def _more(request: HttpRequest, frame: Frame, context: dict[str, Any]) -> dict[str, Any]:
    stream = request.GET.get("stream", "")[:1024]
    _note(request, frame, context)
    return context | basics(request, frame, stream) | {"ways": HOW}


def _shown(
    request: HttpRequest, frame: Frame, stream: str, context: dict[str, Any]
) -> HttpResponse:
    template = "_find.html" if is_part(request) else "find.html"
    _note(request, frame, context)
    context |= basics(request, frame, stream) | {"ways": HOW}
    status = 422 if context["error"] else 200
    return render(request, f"projections/{template}", context, status=status)


def _note(request: HttpRequest, frame: Frame, context: dict[str, Any]) -> None:
    if context.get("event"):
        note_progress(request, frame, took=("began",))
