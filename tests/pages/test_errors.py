"""What went wrong, as pages."""

from __future__ import annotations

from unittest import mock

import pytest
from django.test import Client

from apps.eventlog.commands.systems import create_system
from apps.eventlog.errors import LogUnavailable
from tests.conftest import Log
from tests.pages.reading import read, text

pytestmark = pytest.mark.only("sqlite")


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/bank/events", "/no-such/events", "/shop/events?timeline=99999", "/shop/nowhere"],
)
def test_what_is_not_there_and_what_may_not_be_seen_look_the_same(
    viewer: Client, shop: Log, path: str
) -> None:
    create_system("bank")
    page = viewer.get(path)
    assert page.status_code == 404
    assert "There is nothing here" in text(page)
    assert "bank" not in text(page)
    assert not read(page).forbidden


def test_a_form_of_another_site(viewer: Client, shop: Log) -> None:
    strict = Client(enforce_csrf_checks=True, headers={"host": "localhost"})
    strict.cookies = viewer.cookies
    answer = strict.post("/shop/bookmarks", {"position": 1, "name": "x"})
    assert answer.status_code == 403
    assert "came from another site" in text(answer)


def test_a_log_that_cannot_be_read(viewer: Client, trade: Log) -> None:
    gone = LogUnavailable("The database cannot be read now.")
    with mock.patch("apps.pages.queries.browser.search", side_effect=gone):
        page = viewer.get("/shop/events")
    assert page.status_code == 503
    assert "refused, not lost" in text(page)


def test_a_page_that_breaks(viewer: Client, trade: Log) -> None:
    viewer.raise_request_exception = False
    with mock.patch("apps.pages.queries.browser.search", side_effect=ZeroDivisionError):
        page = viewer.get("/shop/events")
    assert page.status_code == 500
    assert "Something broke here" in text(page)
    assert "ZeroDivisionError" not in text(page)
    assert not read(page).forbidden


def test_only_reading_by_get(viewer: Client, trade: Log) -> None:
    for path in ("/shop/events", "/shop/dock", "/shop/moment", "/shop/events/1/raw"):
        assert viewer.post(path).status_code == 405
    for path in ("/account/password", "/welcome/key", "/account/shop/keys", "/shop/bookmarks/1"):
        assert viewer.get(path).status_code == 405
