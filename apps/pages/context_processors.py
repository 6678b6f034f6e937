"""What the shell needs on every page, whatever view draws it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from apps.access.queries.people import Seat, systems_of
from apps.eventlog.places import Line
from apps.pages.nav import PAGES
from apps.pages.views.liking import likes

NAME = "system"  # in the session: the system whose page was opened last


class Near(NamedTuple):
    """The system that a page without one leads back to."""

    line: Line
    seats: list[Seat]


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the navigation and how the person likes the pages; looked up when first used."""
    return {
        "nav": PAGES,
        "likes": SimpleLazyObject(lambda: likes(request)),
        "near": SimpleLazyObject(lambda: near(request)),
    }


def near(request: HttpRequest) -> Near | None:
    """Return the system looked at last, else the first one; None for whoever is in none."""
    user: Any = getattr(request, "user", None)
    seats = systems_of(user) if user is not None else []
    if not seats:
        return None
    last = request.session.get(NAME)
    return Near(next((s.line for s in seats if s.line.slug == last), seats[0].line), seats)
