"""The State page: everything at a moment, one entity of it, what it was, and since when."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.access.errors import NotAllowed
from apps.eventlog.errors import QueryError
from apps.eventlog.queries import log
from apps.pages import links, strips
from apps.pages.nav import PAGES
from apps.pages.queries import folding, moments
from apps.pages.queries.bookmarks import bookmarks
from apps.pages.queries.dock import chosen, dock
from apps.pages.queries.entity import Entity, entity
from apps.pages.queries.fields import changed_beside, data_of
from apps.pages.views.frame import Frame, is_part, of_system, whole
from apps.pages.views.listing import BOUND, listed
from apps.projections.commands.watches import add_watch, remove_watch
from apps.projections.errors import BrokenCode, StillFolding, UnknownProjection, UnknownStream
from apps.projections.queries import entities as listing
from apps.projections.queries import finding, sources, watches

PAGE = next(page for page in PAGES if page.url == "pages:states")
TABS = (
    ("", "State"),
    ("diff", "Diff to previous"),
    ("compare", "Compare two moments"),
    ("raw", "Raw"),
)
CARRIED = ("tab", "field", "a", "b", "what", "projection", "strip")  # parameters its links carry on


@require_GET
@of_system
def states(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The page without an entity: it opens the one that changed last."""
    found = listing.entities(frame.line, at=frame.at.position, limit=1, deleted=True).entities
    if found:
        address = reverse("pages:state", args=[frame.slug, found[0].stream])
        return HttpResponseRedirect(address + links.query(frame.params))
    return render(request, "projections/state.html", basics(request, frame, ""))


@require_GET
@of_system
def state(request: HttpRequest, frame: Frame, stream: str) -> HttpResponse:
    """The whole page with one entity open."""
    context = basics(request, frame, stream)
    context |= _entity(request, frame, stream, context["tab"])
    if "folding" not in context:  # they may need the same fold, and come when it is done
        context |= listed(request, frame, stream)
        context |= _watched(frame)
    context["bookmarks"] = bookmarks(frame.line, user_id=frame.user_id)[:8]
    if frame.draw and frame.line.head:
        context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
    return render(request, "projections/state.html", context)


@require_GET
@of_system
def entity_part(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The entity at the playhead."""
    stream = request.GET.get("stream", "")
    if not is_part(request):
        return _whole(frame, stream)
    context = basics(request, frame, stream)
    context |= _entity(request, frame, stream, context["tab"])
    if "folding" in context:
        return render(request, "projections/_folding.html", context)
    context |= _watched(frame, rules=True)
    response = render(request, "projections/_entity.html", context)
    if "began" in request.GET:  # what waited for the fold looks now
        response["HX-Trigger"] = "settled"
    return response


@require_GET
@of_system
def entities_part(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The entities there are at the playhead."""
    stream = request.GET.get("stream", "")
    if not is_part(request):
        return _whole(frame, stream)
    context = basics(request, frame, stream) | listed(request, frame, stream)
    return render(request, "projections/_entities.html", context)


@require_GET
@of_system
def watches_part(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The watches, as of the playhead."""
    stream = request.GET.get("stream", "")
    if not is_part(request):
        return _whole(frame, stream)
    context = basics(request, frame, stream) | _watched(frame)
    return render(request, "projections/_watches.html", context)


@require_POST
@of_system
def watch(request: HttpRequest, frame: Frame) -> HttpResponse:
    """Add a watch, or remove one."""
    if not frame.may("debugger"):
        raise NotAllowed(needed="debugger", role=frame.role)
    stream = request.POST.get("stream", "")[:1024]
    context: dict[str, Any] = {}
    try:
        if number := whole(request.POST.get("remove", "")):
            kept = watches.watch(frame.line, number, owner=frame.user_id or 0)
            if kept:
                remove_watch(kept)
        else:
            add_watch(
                frame.line, request.POST.get("expr", "")[: BOUND + 1], owner=frame.user_id or 0,
                must_hold=bool(request.POST.get("rule")),
                **_over(stream, request.POST.get("over", ""), request.POST.get("projection", "")),
            )  # fmt: skip
    except (QueryError, UnknownStream, UnknownProjection, BrokenCode) as error:
        context = {"watch_error": str(error), "watch_text": request.POST.get("expr", "")[:BOUND]}
    if not is_part(request):
        return _whole(frame, stream)
    context |= basics(request, frame, stream) | _watched(frame)
    status = 422 if "watch_error" in context else 200
    return render(request, "projections/_watches.html", context, status=status)


def _over(stream: str, over: str, projection: str) -> dict[str, str]:
    """Return what a watch looks at: this entity, as it is shown, or all of its category."""
    over_all = f"{stream.partition('-')[0]}-*"
    return {"stream": over_all if over == "category" else stream, "projection": projection[:200]}


def _whole(frame: Frame, stream: str) -> HttpResponse:
    """Send whoever opens a part as a page to the page it is part of."""
    if stream:
        address = reverse("pages:state", args=[frame.slug, stream])
    else:
        address = reverse("pages:states", args=[frame.slug])
    return HttpResponseRedirect(address + links.query(frame.params))


def basics(request: HttpRequest, frame: Frame, stream: str) -> dict[str, Any]:
    """Return what every part of the page needs."""
    tab = request.GET.get("tab", "")
    more = {name: request.GET.get(name, "")[:1024] for name in CARRIED}
    more |= {"f": request.GET.get("f", "")[:BOUND], "order": request.GET.get("order", "")[:8]}
    params = frame.params | {name: [value] for name, value in more.items() if value}
    return {
        "frame": frame, "params": params, "page": PAGE, "title": "State", "stream": stream,
        "tab": tab if tab in dict(TABS) else "", "tabs": TABS, "f": more["f"],
        "order": more["order"], "may": frame.may("debugger"),
        "query": f"?stream={quote(stream, safe='')}",
    }  # fmt: skip


def _entity(request: HttpRequest, frame: Frame, stream: str, tab: str) -> dict[str, Any]:
    field = request.GET.get("field", "")[:1024]
    pointer = field if field.startswith("/") else ""
    scaled = request.GET.get("strip") == "time"
    projection, problem, at = request.GET.get("projection", "")[:200], "", frame.at.position
    try:
        try:
            found = entity(
                frame.line,
                stream,
                at=at,
                pointer=pointer,
                projection=projection,
                scaled=scaled,
                tell=folding.patient(whole(request.GET.get("began", ""))),
            )
        except (UnknownProjection, BrokenCode) as error:  # what needs no code goes on
            problem = str(error)
            found = entity(frame.line, stream, at=at, pointer=pointer, scaled=scaled)
    except UnknownStream as error:
        raise Http404(str(error)) from error
    except StillFolding as error:
        return folding.progress(frame.line, stream, error, at=at)
    wrong = sources.projections(frame.line)[1]
    context: dict[str, Any] = {
        "entity": found, "code_error": problem or wrong, "missing_walls": sources.missing(),
        "code_mark": sources.mark(frame.line, projection) if projection else "",
        "projections": _offered(frame, found),
        "earlier": sources.earlier(frame.line, projection.partition("@")[0]) if projection else [],
    }  # fmt: skip
    if pointer:
        beside = changed_beside(frame.line, found.state, pointer, at)
        context |= {"field_before": beside[0], "field_after": beside[1]}
    if tab == "raw":
        context["data"] = data_of(frame.line, found.state.last)
    if tab == "compare":
        context |= _compared(request, frame, stream)
    return context


def _offered(frame: Frame, found: Entity) -> list[str]:
    """Return the projections by which an entity can be seen; a read model is one itself."""
    if found.model:
        return [found.state.projection.partition("@")[0]]
    return ["merge", *(shape.name for shape in sources.fitting(frame.line, found.stream))]


def _compared(request: HttpRequest, frame: Frame, stream: str) -> dict[str, Any]:
    """Return what differs between two moments: of this entity, or of all."""
    texts = request.GET.get("a", "")[:80], request.GET.get("b", "")[:80]
    default = max(0, frame.at.position - 1)
    a = moments.moment(frame.line, texts[0]) if texts[0] else moments.at(frame.line, default)
    b = moments.moment(frame.line, texts[1]) if texts[1] else frame.at
    context: dict[str, Any] = {
        "a": a,
        "b": b,
        "what": request.GET.get("what", ""),
        "problem": a.problem or b.problem,
    }
    if context["problem"]:
        return context
    try:
        if context["what"] == "all":
            found = listing.what_changed(frame.line, before=a.position, after=b.position)
            context |= {"compared": found.listed, "differ": found}
        else:
            one = listing.compared(
                frame.line, stream, before=a.position, after=b.position,
                projection=request.GET.get("projection", "")[:200],
            )  # fmt: skip
            context["compared"] = [one] if one.changes else []
    except (QueryError, UnknownProjection, BrokenCode) as error:
        context["problem"] = str(error)
    return context


def _watched(frame: Frame, *, rules: bool = False) -> dict[str, Any]:
    """Return the watches as of the playhead, with their history in the window."""
    kept = watches.watches(frame.line, owner=frame.user_id or 0)
    if not kept or not frame.line.head:
        return {"watched": [], "broken": []}
    window = chosen(frame.line, frame.at, frame.window)
    start = log.position_at(frame.line, window.start)
    end = min(frame.line.head, log.position_at(frame.line, window.end))
    shown: list[dict[str, Any]] = []
    for each in kept:
        if rules and not each.must_hold:
            continue
        seen = watches.seen(
            frame.line, each, at=frame.at.position, start=frame.line.head if rules else start,
            end=end,
        )  # fmt: skip
        drawn = strips.drawing(
            [(s.log_time, s.value) for s in seen.history], start=window.start, end=window.end,
            rule=each.must_hold,
        )  # fmt: skip
        path = next((f"/{n}" for n in finding.fields_of(seen.watch.expression)), "")
        first = next((s.position for s in seen.history if s.value is False), None)
        shown.append({"seen": seen, "drawn": drawn, "value": strips.said(seen.value), "path": path,
                      "many": each.stream.endswith("*"),
                      "first_broken": first if each.must_hold else None})  # fmt: skip
    return {"watched": shown, "broken": [s for s in shown if s["seen"].broken], "window": window}
