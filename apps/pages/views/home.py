"""Where somebody arrives: the start, the welcome page with its ways in and its tour, the keys."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_GET, require_POST

from apps.access.commands.keys import create_key
from apps.access.queries.callers import actor
from apps.access.queries.people import Seat, systems_of
from apps.access.roles import includes
from apps.eventlog.terms import FIELDS
from apps.pages import tour
from apps.pages.commands.preferences import restart_tour
from apps.pages.context_processors import NAME
from apps.pages.nav import PAGES
from apps.pages.queries.preferences import preferences
from apps.pages.queries.sources import available
from apps.pages.views.frame import refused
from apps.pages.views.liking import likes, remember

DEMO = "shop"


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The only system's events, the welcome page where nothing is recorded, else the systems."""
    seats = _seats(request)
    if len(seats) == 1 and seats[0].line.head:
        return HttpResponseRedirect(reverse("pages:events", args=[seats[0].line.slug]))
    if not any(seat.line.head for seat in seats):
        return HttpResponseRedirect(reverse("pages:welcome"))
    return _page(request, "pages/systems.html", {"seats": seats, "title": "Systems"})


@require_GET
def welcome(request: HttpRequest) -> HttpResponse:
    """Three ways in, and the tour."""
    return _page(request, "pages/welcome.html", _welcome(request))


@require_POST
def first_key(request: HttpRequest) -> HttpResponse:
    """Make a key that may only send, and show it once, in the command that uses it."""
    wanted = request.POST.get("system", "")
    seat = next((s for s in _seats(request) if s.line.slug == wanted), None)
    if seat is None or not includes(seat.role, "admin"):
        return refused(
            request, "Only an administrator of a system can make keys for it.", status=403
        )
    made = create_key(
        seat.line.system, scopes=["ingest"], by=actor(request), name="from the welcome page"
    )
    return _page(request, "pages/welcome.html", _welcome(request) | {"secret": made.secret})


@require_POST
def restart(request: HttpRequest) -> HttpResponse:
    """Begin the tour anew."""
    restart_tour(int(request.user.pk or 0))
    remember(request, preferences(int(request.user.pk or 0)))
    return HttpResponseRedirect(reverse("pages:welcome") + "#tour")


@require_GET
def keyboard(request: HttpRequest) -> HttpResponse:
    """The keys and the query language, for whoever opens them as a page."""
    context = {"title": "Help", "query_fields": FIELDS.values()}
    return _page(request, "pages/keyboard.html", context)


def _seats(request: HttpRequest) -> list[Seat]:
    return systems_of(request.user)


def _welcome(request: HttpRequest) -> dict[str, Any]:
    seats = _seats(request)
    asked = request.POST.get("system") or request.GET.get("system") or request.session.get(NAME, "")
    seat = next((s for s in seats if s.line.slug == asked), seats[0] if seats else None)
    demo = next((s for s in seats if s.line.slug == DEMO), None)
    done = frozenset(likes(request)["tour"])
    current = next((s.name for s in tour.STEPS if s.name not in done and s.ready), "")
    return {
        "seats": seats, "seat": seat, "demo": demo, "title": "Welcome",
        "page": next(p for p in PAGES if p.url == "pages:welcome"),
        "buses": available(), "may_make": seat is not None and includes(seat.role, "admin"),
        "steps": [(step, step.name in done, step.name == current) for step in tour.STEPS],
        "done": len(done), "door": request.build_absolute_uri("/v1/events"),
        "spans": request.build_absolute_uri("/v1/traces"),
        "empty": not any(s.line.head for s in seats),
    }  # fmt: skip


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    response = render(request, template, context)
    add_never_cache_headers(response)
    return response
