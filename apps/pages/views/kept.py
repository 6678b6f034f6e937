"""Bookmarks and saved queries: the lists, and forms to add, change and delete."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from apps.access.errors import NotVisible
from apps.pages import links
from apps.pages.commands import bookmarks as commands
from apps.pages.queries import bookmarks as queries
from apps.pages.queries.dock import dock
from apps.pages.views.frame import Frame, is_part, of_system, whole


@require_http_methods(["GET", "HEAD", "POST"])
@of_system
def bookmarks(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The named moments of a system; POST keeps one more."""
    if request.method == "POST":
        commands.keep_moment(
            frame.line,
            whole(request.POST.get("position", "")) or frame.at.position,
            name=request.POST.get("name", ""),
            shared=bool(request.POST.get("shared")),
            by=frame.actor,
            role=frame.role,
        )
        return _done(request, frame, "Bookmarked")
    return _list(request, frame, "bookmarks", queries.bookmarks(frame.line, user_id=frame.user_id))


@require_POST
@of_system
def bookmark(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """Rename, share or delete one moment."""
    kept = queries.bookmark(frame.line, number, user_id=frame.user_id)
    return _changed(request, frame, kept)


@require_http_methods(["GET", "HEAD", "POST"])
@of_system
def saved(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The saved queries of a system; POST keeps one more."""
    if request.method == "POST":
        commands.keep_query(
            frame.line,
            request.POST.get("q", ""),
            name=request.POST.get("name", ""),
            columns=[c[:200] for c in request.POST.getlist("col")][: links.COLUMNS],
            shared=bool(request.POST.get("shared")),
            by=frame.actor,
            role=frame.role,
        )
        return _done(request, frame, "Query saved")
    return _list(request, frame, "saved", queries.saved_queries(frame.line, user_id=frame.user_id))


@require_POST
@of_system
def saved_query(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """Rename, share or delete one saved query."""
    kept = queries.saved_query(frame.line, number, user_id=frame.user_id)
    return _changed(request, frame, kept)


def _changed(request: HttpRequest, frame: Frame, kept: Any) -> HttpResponse:
    if kept is None:
        raise NotVisible
    if request.POST.get("do") == "delete":
        commands.drop(kept, by=frame.actor, role=frame.role)
        return _done(request, frame, "Deleted")
    commands.change(
        kept,
        name=request.POST.get("name", ""),
        shared=bool(request.POST.get("shared")),
        by=frame.actor,
        role=frame.role,
    )
    return _done(request, frame, "Saved")


def _list(request: HttpRequest, frame: Frame, what: str, kept: Any) -> HttpResponse:
    context = {
        "frame": frame, "params": frame.params, "kept": kept, "what": what,
        "q": request.GET.get("q", "")[: links.BOUND["q"]],
        "may_share": frame.may("debugger"), "may_all": frame.may("admin"),
        "title": "Bookmarks" if what == "bookmarks" else "Saved queries",
    }  # fmt: skip
    if frame.draw:
        context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
    return render(request, f"pages/{'_' if is_part(request) else ''}{what}.html", context)


def _done(request: HttpRequest, frame: Frame, said: str) -> HttpResponse:
    """Go back to the list; with htmx draw it anew, say what was done, and let the bar look."""
    name = "bookmarks" if "bookmarks" in request.path else "saved"
    if not is_part(request):
        address = reverse(f"pages:{name}", args=[frame.slug])
        return HttpResponseRedirect(address + links.query(frame.params))
    kept = getattr(queries, "bookmarks" if name == "bookmarks" else "saved_queries")
    response = _list(request, frame, name, kept(frame.line, user_id=frame.user_id))
    events = f'{{"said":{{"text":"{said}"}},"marks":{{}}}}'
    response["HX-Trigger"] = events
    return response
