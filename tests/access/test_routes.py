"""Who gets what answer on every route there is. A route without a row here fails.

A row: path to ask, method, and the status for nobody, a viewer, an administrator of the system,
and an administrator of another system. "-" as method means GET.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.access.models import User
from apps.eventlog.places import Line
from tests.access.conftest import browser

pytestmark = pytest.mark.django_db

#  route: (path, nobody, viewer, admin, stranger)
MATRIX: dict[str, tuple[str, int, int, int, int]] = {
    "healthz": ("/healthz", 200, 200, 200, 200),
    "readyz": ("/readyz", 200, 200, 200, 200),
    "metrics": ("/metrics", 200, 200, 200, 200),
    "signin": ("/signin", 200, 302, 302, 302),
    "signin/<str:token>": ("/signin/unknown", 410, 302, 302, 302),
    "signout": ("/signout", 302, 405, 405, 405),
}


def routes(
    patterns: list[URLPattern | URLResolver] | None = None, before: str = ""
) -> Iterator[str]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert set(routes()) == set(MATRIX)


@pytest.mark.parametrize("route", MATRIX)
def test_each_gets_the_answer_they_should(
    route: str, shop: Line, viewer: User, admin: User, stranger: User
) -> None:
    path, *expected = MATRIX[route]
    answers = [browser(user).get(path).status_code for user in (None, viewer, admin, stranger)]
    assert answers == expected


@pytest.mark.parametrize("route", MATRIX)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_session_changes_anything_without_the_form_token(
    route: str, method: str, shop: Line, admin: User
) -> None:
    response = browser(admin).generic(method, MATRIX[route][0])
    assert response.status_code in {403, 405}


def test_an_address_there_is_not_is_404_for_everybody(shop: Line, admin: User) -> None:
    for client in (Client(), browser(admin)):
        assert client.get("/no/such/page").status_code == 404
