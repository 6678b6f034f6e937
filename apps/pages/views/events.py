"""The event browser: the page, and the parts of it that are swapped on their own."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.eventlog.errors import QueryError
from apps.eventlog.query import spans
from apps.eventlog.suggest import suggest
from apps.eventlog.terms import FIELDS
from apps.pages import links, nav
from apps.pages.queries import browser, summary
from apps.pages.queries.detail import detail
from apps.pages.queries.dock import dock
from apps.pages.queries.services import cast
from apps.pages.views.frame import Frame, is_part, of_system, whole
from apps.pages.views.touring import note_progress

LOADED = 600  # rows a table holds before the next page replaces it
FEWEST = 10  # rows a part may ask for: as many as can be seen, while the playhead moves


@require_GET
@of_system
def events(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The whole page. Charts, counts and the drawer load after it, or with it for `draw=1`."""
    context = results_context(request, frame)
    status = 422 if context["error"] or frame.at.problem else 200
    position = whole(request.GET.get("event", ""))
    if frame.draw and frame.line.head:
        context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
        context |= summary_context(request, frame, context)
        if position:
            context |= drawer_context(request, frame, position)
    context |= {
        "position": position, "page": nav.page("pages:events"), "title": "Events",
        "query_fields": FIELDS.values(),
    }  # fmt: skip
    return render(request, "pages/events.html", context, status=status)


@require_GET
@of_system
def results(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The table. A query that cannot be read changes the bar's message alone (422)."""
    if not is_part(request):
        return page(frame, request)
    context = results_context(request, frame)
    if context["error"]:
        response = render(request, "pages/_query_error.html", context | {"part": True}, status=422)
        response["HX-Retarget"], response["HX-Reswap"] = "#q-msg", "outerHTML"
        return response
    return render(request, "pages/_results.html", context | {"part": True})


@require_GET
@of_system
def more(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The next rows of the table, older than `before`."""
    if not is_part(request):
        return page(frame, request)
    context = results_context(request, frame)
    loaded = whole(request.GET.get("loaded", "")) or browser.PAGE
    return render(
        request, "pages/_rows.html", context | {"loaded": loaded + browser.PAGE, "most": LOADED}
    )


@require_GET
@of_system
def counts(request: HttpRequest, frame: Frame) -> HttpResponse:
    """What is counted rather than read: facets, matches over time, how many there are."""
    if not is_part(request):
        return page(frame, request)
    context = basics(request, frame)
    if context["error"]:
        return HttpResponse(status=204)  # the counts of the query before stay
    context = summary_context(request, frame, context)
    return render(request, "pages/_summary.html", context | {"part": True})


@require_GET
@of_system
def suggestions(request: HttpRequest, frame: Frame) -> HttpResponse:
    """What could be typed next in the query bar."""
    text = request.GET.get("q", "")[: links.BOUND["q"]]
    caret = whole(request.GET.get("caret", ""))
    words = summary.vocabulary(frame.line, at=frame.at.position)
    found = suggest(text, len(text) if caret is None else caret, words)
    start, end = _utf16(text[: found.start]), _utf16(text[: found.end])
    context = {"items": found.items, "start": start, "end": end}
    return render(request, "pages/_suggestions.html", context)


@require_GET
@of_system
def drawer(request: HttpRequest, frame: Frame) -> HttpResponse:
    """All that is known of the event `event=`."""
    if not is_part(request):
        return page(frame, request)
    position = whole(request.GET.get("event", ""))
    context = drawer_context(request, frame, position) if position else {}
    return render(request, "pages/_drawer.html", basics(request, frame) | context)


def page(frame: Frame, request: HttpRequest) -> HttpResponse:
    """Send whoever opens a part as a page to the page it is part of."""
    address = reverse("pages:events", args=[frame.slug])
    return HttpResponseRedirect(f"{address}?{request.GET.urlencode()}")


def basics(request: HttpRequest, frame: Frame) -> dict[str, Any]:
    """Return what every template of this page needs: the frame, and the query as it is read."""
    text = request.GET.get("q", "")[: links.BOUND["q"] + 1]
    columns = frame.params.get("col", [])
    everything = request.GET.get("with") == "deliveries"
    context: dict[str, Any] = {
        "frame": frame, "params": frame.params, "q": text, "error": None, "everything": everything,
        "spans": [(s.kind, text[s.column : s.column + s.length], s) for s in spans(text)],
    }  # fmt: skip
    try:
        context["asked"] = browser.asked(text, columns=columns, everything=everything)
    except QueryError as error:
        context |= {
            "error": error,
            "asked": browser.asked("", columns=columns, everything=everything),
        }
        context["marked"] = (
            text[: error.column],
            text[error.column : error.column + error.length],
            text[error.column + error.length :],
        )
    return context


def results_context(request: HttpRequest, frame: Frame) -> dict[str, Any]:
    """Return the rows of the table, none where the query cannot be read."""
    context = basics(request, frame)
    if context["error"]:
        return context | {"table": None}
    before, after = (whole(request.GET.get(name, "")) for name in ("before", "after"))
    seen = whole(request.GET.get("rows", "")) or browser.PAGE
    limit = max(FEWEST, min(seen, browser.PAGE))
    try:
        table = browser.rows(
            frame.line, context["asked"],
            at=frame.at.position, before=before, after=after, limit=limit,
        )  # fmt: skip
    except QueryError as error:  # a moment in the query that only the log can judge
        return context | {"error": error, "table": None}
    return context | {
        "table": table,
        "cast": cast(frame.line.system) if not table.rows else None,
        "offered": browser.offered(table.rows, context["asked"].columns),
        "selected": whole(request.GET.get("event", "")),
        "loaded": limit,
        "most": LOADED,
        "paged": before is not None or after is not None,
        # What the links of all rows begin with: made once, not sixty times.
        "to_event": _prefix(frame, "event", view=None),
        "to_moment": _prefix(frame, "at"),
        "to_query": _prefix(frame, "q"),
    }


def _prefix(frame: Frame, name: str, **changes: None) -> str:
    """Return a link that keeps the moment and the filters, up to the value of `name`."""
    kept = links.query(frame.params, **{name: None}, **changes)
    return f"{kept}{'&' if len(kept) > 1 else ''}{name}="


def summary_context(request: HttpRequest, frame: Frame, context: dict[str, Any]) -> dict[str, Any]:
    """Return facets, matches over time and their number."""
    if context["error"]:
        return context
    return context | {
        "summary": summary.summary(frame.line, context["asked"], frame.at, zoom=frame.window)
    }


def drawer_context(request: HttpRequest, frame: Frame, position: int) -> dict[str, Any]:
    """Return what is known of one event."""
    found = detail(frame.line, position, at=frame.at.position)
    if found:
        note_progress(request, frame, found)
    view = request.GET.get("view", "")
    view = view if view in ("raw", "hex") else "tree"
    return {
        "detail": found, "position": position, "view": view, "may_fork": frame.may("debugger"),
    }  # fmt: skip


def _utf16(text: str) -> int:
    """Return how long a text is to a script, which counts some characters twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
