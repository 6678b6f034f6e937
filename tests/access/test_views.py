from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.commands import people
from apps.access.commands.links import make_link
from apps.access.models import SignInLink, Trail, User
from apps.access.pace import Pace
from tests.access.conftest import PASSWORD, browser

pytestmark = pytest.mark.django_db


def sign_in(client: Client, username: str, password: str, **more: str) -> Any:
    """Fill in the form as a browser does: the token from the page, the cookie from the jar."""
    page = client.get("/signin", more)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())
    form = {"username": username, "password": password, **more}
    return client.post("/signin", {**form, "csrfmiddlewaretoken": token[1] if token else ""})


def who(client: Client) -> str:
    return str(client.session.get("_auth_user_id", ""))


def test_it_works(viewer: User) -> None:
    client = browser()
    response = sign_in(client, "vera", PASSWORD)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert who(client) == str(viewer.pk)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("vera", "wrong"),
        ("nobody", PASSWORD),
        ("", ""),
        ("vera", ""),
        ("vera\x00", PASSWORD),
        ("v" * 100_000, PASSWORD),
        ("vera", "p" * 100_000),
        ("VERA", PASSWORD),
    ],
)
def test_wrong_ones_get_one_answer(viewer: User, username: str, password: str) -> None:
    client = browser()
    response = sign_in(client, username, password)
    assert response.status_code == 422
    assert "The name or the password is not right." in response.content.decode()
    assert who(client) == ""


def test_the_locked_out_and_those_without_password_get_the_same(viewer: User) -> None:
    people.create_user("linus", by=CONSOLE)
    people.set_active(viewer, False, by=CONSOLE)
    for name in ("vera", "linus"):
        assert sign_in(browser(), name, PASSWORD).status_code == 422


def test_the_eleventh_try_is_turned_away_even_with_the_right_password(viewer: User) -> None:
    client = browser()
    answers = [sign_in(client, "vera", "wrong").status_code for _ in range(10)]
    assert answers == [422] * 9 + [429]
    response = sign_in(client, "vera", PASSWORD)
    assert response.status_code == 429
    assert response["Retry-After"] == "600"
    assert "Wait 10 minutes" in response.content.decode()
    assert who(client) == ""


def test_a_forged_address_does_not_get_round_the_limit(viewer: User) -> None:
    for n in range(10):
        client = Client(headers={"X-Forwarded-For": f"10.0.0.{n}", "User-Agent": f"agent {n}"})
        client.post("/signin", {"username": "vera", "password": "wrong"})
    response = Client(headers={"X-Forwarded-For": "10.9.9.9"}).post(
        "/signin", {"username": "vera", "password": PASSWORD}
    )
    assert response.status_code == 429


def test_an_address_that_tries_many_names_is_slowed_down(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = Pace(burst=20, per_s=0.5, clock=lambda: 0.0)
    monkeypatch.setattr("apps.access.views.TRIES", still)
    client = browser()
    answers = [sign_in(client, f"name-{n}", "wrong").status_code for n in range(22)]
    assert answers == [422] * 20 + [429] * 2
    response = sign_in(client, "vera", PASSWORD)
    assert (response.status_code, response["Retry-After"]) == (429, "2")
    assert client.get(f"/signin/{make_link(viewer, by=CONSOLE)}").status_code == 302


def test_one_name_locked_out_leaves_the_others_alone(viewer: User, admin: User) -> None:
    for _ in range(10):
        sign_in(browser(), "vera", "wrong")
    assert sign_in(browser(), "ada", PASSWORD).status_code == 302


def test_a_large_form_is_not_kept(viewer: User) -> None:
    client = browser()
    assert sign_in(client, "vera", "wrong", extra="x" * 100_000).status_code == 422
    assert not AccessAttempt.objects.exists()


SAFE = ["/shop/events?at=12&q=a%20b", "/", "/shop/state/order-1#x"]
UNSAFE = [
    "//evil.example/",
    "///evil.example",
    "https://evil.example/",
    "http:///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "evil.example",
    "@evil.example",
    "/x\r\nSet-Cookie: a=b",
    "/signout",
    "/signin?next=/signin",
    "/" + "x" * 5000,
    "http://testserver/shop",
    "/\u202eshop",
]


@pytest.mark.parametrize("after", SAFE)
def test_it_goes_on_to_where_one_wanted_to_go(viewer: User, after: str) -> None:
    assert sign_in(browser(), "vera", PASSWORD, next=after)["Location"] == after
    assert browser(viewer).get("/signin", {"next": after})["Location"] == after


@pytest.mark.parametrize("after", UNSAFE)
def test_it_never_goes_anywhere_else(viewer: User, after: str) -> None:
    response = sign_in(browser(), "vera", PASSWORD, next=after)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert browser(viewer).get("/signin", {"next": after})["Location"] == "/"


def test_a_session_planted_before_the_sign_in_is_worthless_after(viewer: User) -> None:
    victim = browser()
    victim.get("/signin")
    session = victim.session
    session["planted"] = 1
    session.save()
    planted, form_token = str(session.session_key), victim.cookies["evdebug_csrf"].value
    victim.cookies["evdebug_session"] = planted
    sign_in(victim, "vera", PASSWORD)
    assert victim.cookies["evdebug_session"].value != planted
    assert victim.cookies["evdebug_csrf"].value != form_token
    attacker = Client()
    attacker.cookies["evdebug_session"] = planted
    assert who(attacker) == ""


def test_the_cookies_cannot_be_read_by_scripts_nor_sent_by_other_sites(viewer: User) -> None:
    client = browser()
    sign_in(client, "vera", PASSWORD)
    cookie = client.cookies["evdebug_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert client.cookies["evdebug_csrf"]["samesite"] == "Strict"


def test_without_the_form_token_nothing_happens(viewer: User) -> None:
    client = browser()
    assert client.post("/signin", {"username": "vera", "password": PASSWORD}).status_code == 403
    assert who(client) == ""
    client = browser(viewer)
    assert client.post("/signout").status_code == 403
    assert who(client)


def test_signing_out_ends_the_session(viewer: User) -> None:
    client = Client()
    client.force_login(viewer)
    kept = client.cookies["evdebug_session"].value
    response = client.post("/signout")
    assert (response.status_code, response["Location"]) == (302, "/signin")
    assert not Session.objects.filter(session_key=kept).exists()
    assert client.get("/signout").status_code in {302, 405}


def test_a_new_password_ends_the_other_sessions(viewer: User) -> None:
    client = browser(viewer)
    assert client.get("/signin").status_code == 302
    people.set_password(viewer, "a much better one", by=CONSOLE)
    assert client.get("/signin").status_code == 200


def test_a_link_signs_in_by_a_plain_get(viewer: User) -> None:
    client = browser()
    response = client.get(f"/signin/{make_link(viewer, by=CONSOLE)}")
    assert (response.status_code, response["Location"]) == (302, "/")
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]
    assert who(client) == str(viewer.pk)


def test_a_link_works_once_and_says_so(viewer: User) -> None:
    path = f"/signin/{make_link(viewer, by=CONSOLE)}"
    first = browser()
    first.get(path)
    second = browser()
    response = second.get(path)
    assert response.status_code == 410
    assert "used already or has expired" in response.content.decode()
    assert response["Referrer-Policy"] == "no-referrer"
    assert who(second) == ""
    assert first.get(path)["Location"] == "/"  # who is in already need not be told


def test_looking_ahead_does_not_use_a_link_up(viewer: User) -> None:
    path = f"/signin/{make_link(viewer, by=CONSOLE)}"
    client = browser()
    assert client.head(path).status_code == 405
    assert client.post(path).status_code in {403, 405}
    assert client.get(path, headers={"Sec-Purpose": "prefetch;prerender"}).status_code == 503
    assert client.get(path, headers={"Purpose": "prefetch"}).status_code == 503
    assert SignInLink.objects.get().used_at is None
    assert client.get(path).status_code == 302


def test_a_link_replaces_whoever_was_signed_in(viewer: User, admin: User) -> None:
    client = browser(viewer)
    before = client.cookies["evdebug_session"].value
    client.get(f"/signin/{make_link(admin, by=CONSOLE)}")
    assert who(client) == str(admin.pk)
    assert client.cookies["evdebug_session"].value != before


def test_the_trail_tells_and_never_what_was_typed(viewer: User) -> None:
    Trail.objects.all().delete()
    client = browser()
    sign_in(client, "vera", "wrong")
    sign_in(client, PASSWORD, "vera")  # the two fields mixed up
    sign_in(client, "vera", PASSWORD)
    client.post("/signout", headers={"X-CSRFToken": client.cookies["evdebug_csrf"].value})
    assert list(Trail.objects.order_by("pk").values_list("who", "what", "object", "ip")) == [
        ("nobody", "sign-in refused", "vera", "127.0.0.1"),
        ("vera", "signed in by password", "vera", "127.0.0.1"),
        ("vera", "signed out", "vera", "127.0.0.1"),
    ]


def test_a_lockout_does_not_flood_the_trail(viewer: User) -> None:
    Trail.objects.all().delete()
    for _ in range(30):
        sign_in(browser(), "vera", "wrong")
    assert Trail.objects.count() == 9


def test_no_secret_reaches_the_logs(viewer: User, caplog: pytest.LogCaptureFixture) -> None:
    token = make_link(viewer, by=CONSOLE)
    # The loggers as the settings set them up: what they let pass is what gets written.
    for name in ("django", "django.request", "django.security", "axes", "apps"):
        logging.getLogger(name).addHandler(caplog.handler)
    try:
        client = browser()
        sign_in(client, "typed-by-mistake", PASSWORD)
        for _ in range(11):
            sign_in(client, "vera", "not-the-password")
        client.get(f"/signin/{token}")
        client.get(f"/signin/{token}")
        client.post("/signin", {"username": "vera", "password": PASSWORD})
    finally:
        for name in ("django", "django.request", "django.security", "axes", "apps"):
            logging.getLogger(name).removeHandler(caplog.handler)
    for secret in (token, PASSWORD, "typed-by-mistake", "not-the-password"):
        assert secret not in caplog.text


def test_what_was_typed_is_shown_as_text(viewer: User) -> None:
    html = sign_in(browser(), '"><script>alert(1)</script>', "x").content.decode()
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html


def test_a_foreign_host_name_is_refused(viewer: User) -> None:
    assert Client(headers={"Host": "evil.example"}).get("/signin").status_code == 400
