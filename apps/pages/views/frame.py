"""What every page of a system begins with: who asks, for which system, at which moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers, patch_vary_headers

from apps.access.actor import Actor
from apps.access.errors import AccessError, NotVisible
from apps.access.queries.callers import actor
from apps.access.queries.people import Seat, systems_of
from apps.access.roles import includes
from apps.eventlog.errors import LogUnavailable, UnknownTimeline
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.pages import links
from apps.pages.context_processors import NAME
from apps.pages.queries import moments
from apps.pages.views.liking import Likes, likes
from apps.pages.words import duration


@dataclass(frozen=True)
class Frame:
    """A person standing somewhere in a system's history."""

    line: Line
    role: str
    seats: list[Seat]
    at: moments.Moment
    params: links.Params
    likes: Likes
    actor: Actor
    base: str  # how addresses begin: http://127.0.0.1:8000
    window: str  # the stretch of time asked for, or the one that is on the screen
    draw: bool  # without script: everything is drawn in one page

    @property
    def slug(self) -> str:
        """The system's name in addresses."""
        return self.line.slug

    @property
    def mode(self) -> str:
        """What colours the page: live, past or fork."""
        if self.line.parent is not None:
            return "fork"
        return "live" if self.at.live else "past"

    @property
    def user_id(self) -> int | None:
        """Who asks."""
        return self.actor.user_id

    @property
    def behind(self) -> str:
        """How far the playhead is from the live edge."""
        if self.at.time is None or self.line.log_time is None:
            return ""
        return f"{duration(self.line.log_time - self.at.time)} ago"

    def may(self, role: str) -> bool:
        """Return whether the person may do what `role` may."""
        return includes(self.role, role)


def stand(request: HttpRequest, slug: str) -> Frame:
    """Return where a request stands.

    raises  NotVisible for a system the person may not see, UnknownTimeline
    """
    seats = systems_of(request.user)
    seat = next((s for s in seats if s.line.slug == slug), None)
    if seat is None:
        raise NotVisible
    line = seat.line
    if request.session.get(NAME) != slug:
        request.session[NAME] = slug
    if number := _whole(request.GET.get("timeline", "")):
        line = log.line(slug, timeline=number)
    base = _whole(request.GET.get("from", ""))
    at = moments.moment(line, request.GET.get("at", "")[:80], base=base)
    if go := request.GET.get("go", ""):
        n = _whole(request.GET.get("n", "")) or 1
        at = moments.stepped(
            line, at.position, go[:20], n=n, deliveries=request.GET.get("with") == "deliveries",
            stream=request.GET.get("stream", "")[:1024],
            trace=_whole(request.GET.get("trace", "")) or 0,
        )  # fmt: skip
    params = links.kept({name: request.GET.getlist(name) for name in links.KEPT})
    params.pop("at", None)
    if not at.live:
        params = {"at": [str(at.position)], **params}
    return Frame(
        line=line,
        role=seat.role,
        seats=seats,
        at=at,
        params=params,
        likes=likes(request),
        actor=actor(request),
        base=f"{request.scheme}://{request.get_host()}",
        window=request.GET.get("zoom", "") or request.GET.get("window", ""),
        draw=request.GET.get("draw") == "1",
    )


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def of_system(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Call `view(request, frame, …)` for `view(request, system, …)`, and answer its errors."""

    @wraps(view)
    def answer(request: HttpRequest, system: str, **rest: Any) -> HttpResponseBase:
        try:
            response = view(request, stand(request, system), **rest)
        except (AccessError, UnknownTimeline) as error:
            if getattr(error, "status", 404) == 404:
                raise Http404(str(error)) from error
            if getattr(error, "status", 0) == 403:
                raise PermissionDenied(str(error)) from error
            return refused(request, str(error), status=getattr(error, "status", 422))
        except LogUnavailable as error:
            return render(request, "503.html", {"detail": str(error)}, status=503)
        patch_vary_headers(response, ["HX-Request"])
        add_never_cache_headers(response)
        return response

    return answer


def refused(request: HttpRequest, detail: str, *, status: int) -> HttpResponse:
    """Answer a form that cannot be done: the reason, where the form has its place for it."""
    if request.headers.get("HX-Request"):
        response = render(request, "pages/_refused.html", {"detail": detail}, status=status)
        response["HX-Retarget"], response["HX-Reswap"] = "#refused", "innerHTML"
        return response
    return render(request, "refused.html", {"detail": detail}, status=status)


def is_part(request: HttpRequest) -> bool:
    """Return whether htmx asks for a part, not somebody for a page."""
    return request.headers.get("HX-Request") == "true"


whole = _whole
