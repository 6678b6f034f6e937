from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.access import middleware
from apps.access.actor import CONSOLE
from apps.access.commands.links import make_link
from apps.access.middleware import SEEN
from apps.access.models import User

pytestmark = pytest.mark.django_db
HOUR = 3600


@pytest.fixture
def client(viewer: User) -> Client:
    client = Client()
    client.get(f"/signin/{make_link(viewer, by=CONSOLE)}")
    return client


def is_in(client: Client) -> bool:
    return client.get("/signin").status_code == 302


def seen(client: Client, ago: int) -> None:
    session = client.session
    session[SEEN] = int(time.time()) - ago
    session.save()


def test_a_session_nobody_uses_ends(client: Client, settings: LazySettings) -> None:
    seen(client, settings.SESSION_IDLE_S - 60)
    assert is_in(client)
    seen(client, settings.SESSION_IDLE_S + 60)
    assert not is_in(client)


def test_using_it_keeps_it(client: Client, settings: LazySettings) -> None:
    seen(client, settings.SESSION_IDLE_S - 60)
    assert is_in(client)
    assert time.time() - client.session[SEEN] < 60


def test_use_is_written_every_five_minutes(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    seen(client, 10)
    with django_assert_num_queries(2):  # the session and the user
        is_in(client)


def test_it_ends_two_weeks_after_the_sign_in_however_much_it_is_used(
    client: Client, settings: LazySettings
) -> None:
    seen(client, 10 * 60)
    assert is_in(client)  # writes the session: its end must not move by that
    left = client.session.get_expiry_date() - timezone.now()
    assert timedelta(days=13, hours=23) < left <= timedelta(days=14)
    session = client.session
    session.set_expiry(timezone.now() - timedelta(seconds=1))
    session.save()
    assert not is_in(client)


def test_a_disk_that_is_full_does_not_take_the_reading_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: SessionStore) -> None:
        raise DatabaseError("database or disk is full")

    seen(client, 10 * 60)
    monkeypatch.setattr(SessionStore, "save", full)
    assert is_in(client)


def test_whoever_is_not_signed_in_is_sent_there_and_back(rf: RequestFactory) -> None:
    middle = middleware.SignInFirst(lambda request: HttpResponse())

    def sent(request: WSGIRequest) -> HttpResponseBase:
        request.user = AnonymousUser()
        return middle.process_view(request, lambda request: None, (), {}) or HttpResponse()

    page = sent(rf.get("/shop/events?at=12&query=a b"))
    assert page["Location"] == "/signin?next=%2Fshop%2Fevents%3Fat%3D12%26query%3Da%2520b"
    form = sent(rf.post("/shop/bookmarks"))
    assert (form.status_code, form["Location"]) == (302, "/signin")
    part = sent(rf.get("/shop/events", headers={"HX-Request": "true"}))
    assert (part.status_code, part["HX-Redirect"]) == (401, "/signin")
    assert sent(rf.get("/api/v1/shop/head")).status_code == 200


def test_the_innermost_one_is_synchronous(settings: LazySettings) -> None:
    """Or every answer changes threads some twenty times; see SignInFirst."""
    assert settings.MIDDLEWARE[-1] == "apps.access.middleware.SignInFirst"
    assert not middleware.SignInFirst.async_capable
