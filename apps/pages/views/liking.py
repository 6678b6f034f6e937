"""How the person who asks likes the pages, read once a session."""

from __future__ import annotations

from typing import Any, TypedDict

from django.http import HttpRequest

from apps.pages.models import Preferences
from apps.pages.queries.preferences import preferences

NAME = "likes"


class Likes(TypedDict):
    """What a page needs of the preferences."""

    theme: str
    single_keys: bool
    tour: list[str]


def likes(request: HttpRequest) -> Likes:
    """Return what the person likes; what is usual for whoever is not signed in."""
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"theme": "", "single_keys": True, "tour": []}
    if NAME not in request.session:
        remember(request, preferences(user.pk))
    held: Likes = request.session[NAME]
    return held


def remember(request: HttpRequest, held: Preferences) -> None:
    """Note changed preferences in the session, so that pages need not look them up."""
    request.session[NAME] = {
        "theme": held.theme,
        "single_keys": held.single_keys,
        "tour": held.tour,
    }
