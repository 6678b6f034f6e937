"""The account page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.access.models import ApiKey, Membership, User
from apps.access.queries.keys import authenticate
from tests.conftest import Log
from tests.pages.conftest import PASSWORD, client_of
from tests.pages.reading import read, text

pytestmark = pytest.mark.only("sqlite")


def test_it_works(viewer: Client, shop: Log) -> None:
    page = viewer.get("/account")
    assert page.status_code == 200
    assert "signed in as vera" in text(page)
    assert "Make a key" not in text(page)
    assert not read(page).forbidden


def test_nobody_gets_in_unasked(client: Client, shop: Log) -> None:
    for address in ("/account", "/welcome", "/", "/shop/events", "/keyboard"):
        answer = client.get(address, headers={"host": "localhost"})
        assert (answer.status_code, answer["Location"][:7]) == (302, "/signin")


def test_the_password(viewer: Client, shop: Log) -> None:
    wrong = viewer.post("/account/password", {"old": "no", "new": "a fresh battery horse"})
    assert (wrong.status_code, "is not right" in text(wrong)) == (422, True)
    weak = viewer.post("/account/password", {"old": PASSWORD, "new": "short"})
    assert (weak.status_code, "too short" in text(weak)) == (422, True)
    assert "short" not in [a.get("value") for _, a in read(weak).elements]
    done = viewer.post("/account/password", {"old": PASSWORD, "new": "a fresh battery horse"})
    assert done.status_code == 302
    assert "The password is set" in text(viewer.get("/account"))  # and the session goes on
    assert User.objects.get(username="vera").check_password("a fresh battery horse")


def test_whoever_signs_in_by_link_sets_one_without_an_old_one(viewer: Client, shop: Log) -> None:
    user = User.objects.get(username="vera")
    user.set_unusable_password()
    user.save()
    viewer.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert 'name="old"' not in viewer.get("/account").content.decode()
    assert viewer.post("/account/password", {"new": "a fresh battery horse"}).status_code == 302


def test_theme_and_keys(viewer: Client, shop: Log) -> None:
    viewer.post("/account/preferences", {"theme": "dark"})
    root = read(viewer.get("/shop/events")).elements[0][1]
    assert (root["data-theme"], "data-no-keys" in root) == ("dark", True)
    again = client_of(User.objects.get(username="vera"))  # in another session, too
    assert read(again.get("/account")).elements[0][1]["data-theme"] == "dark"
    viewer.post("/account/preferences", {"theme": "", "single_keys": "1"})
    assert "data-theme" not in read(viewer.get("/account")).elements[0][1]
    assert viewer.post("/account/preferences", {"theme": "pink"}).status_code == 422


def test_a_key_is_shown_once_and_revoked(admin: Client, shop: Log) -> None:
    page = admin.post("/account/shop/keys", {"name": "<b>ci</b>", "scope": ["ingest", "read"]})
    secret = next(w for w in read(page).words if w.startswith("evk_") and len(w) > 20)
    assert authenticate(secret, scope="read").system == "shop"
    listed = admin.get("/account")
    assert secret not in listed.content.decode()
    assert "&lt;b&gt;ci&lt;/b&gt;" in listed.content.decode()
    number = ApiKey.objects.get().pk
    assert admin.post(f"/account/shop/keys/{number}").status_code == 302
    assert ApiKey.objects.get().revoked_at is not None
    refused = admin.post("/account/shop/keys", {"name": "x"})
    assert (refused.status_code, "expected one or more of" in text(refused)) == (422, True)


@pytest.mark.parametrize("path", ["keys", "keys/1", "members"])
def test_only_an_administrator_may(viewer: Client, debugger: Client, shop: Log, path: str) -> None:
    for client in (viewer, debugger):
        assert (
            client.post(f"/account/shop/{path}", {"scope": "ingest", "username": "x"}).status_code
            == 404
        )
    assert not ApiKey.objects.exists()


def test_members(admin: Client, person: Callable[..., User], shop: Log) -> None:
    newcomer = person("nina")
    User.objects.filter(pk=newcomer.pk).update(is_superuser=False)
    admin.post("/account/shop/members", {"username": "nina", "role": "viewer"})
    assert Membership.objects.get(user=newcomer).role == "viewer"
    admin.post("/account/shop/members", {"username": "nina", "role": "debugger"})
    assert Membership.objects.get(user=newcomer).role == "debugger"
    admin.post("/account/shop/members", {"username": "nina", "role": "none"})
    assert not Membership.objects.filter(user=newcomer).exists()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"username": "nobody", "role": "viewer"}, "There is no user 'nobody'"),
        ({"username": "nobody", "role": "viewer", "new": "1"}, "There is no user 'nobody'"),
        ({"username": "ada", "role": "viewer"}, "by another administrator"),
        ({"username": "vera", "role": "god"}, "expected one of"),
        ({"username": "a\0b", "role": "viewer"}, "There is no user"),
    ],
)
def test_what_cannot_be_done_is_said(
    admin: Client, viewer: Client, shop: Log, fields: dict[str, str], reason: str
) -> None:
    answer = admin.post("/account/shop/members", fields)
    assert answer.status_code == 422
    assert reason in text(answer)


def test_an_administrator_of_everything_can_make_people(root: Client, shop: Log) -> None:
    root.post("/account/shop/members", {"username": "nina", "role": "viewer", "new": "1"})
    assert Membership.objects.get(user__username="nina").role == "viewer"
