"""What the shell needs on every page, whatever view draws it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from apps.pages.nav import PAGES
from apps.pages.views.liking import likes


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the navigation and how the person likes the pages; looked up when first used."""
    return {"nav": PAGES, "likes": SimpleLazyObject(lambda: likes(request))}
