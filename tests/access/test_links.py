from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from apps.access import tokens
from apps.access.actor import CONSOLE
from apps.access.commands.links import make_link, redeem_link, revoke_links
from apps.access.commands.people import set_active
from apps.access.errors import BadLink, Refused
from apps.access.models import SignInLink, User

pytestmark = pytest.mark.django_db


def test_it_works_once(viewer: User) -> None:
    token = make_link(viewer, by=CONSOLE)
    assert redeem_link(token, ip="127.0.0.1") == viewer
    with pytest.raises(BadLink):
        redeem_link(token, ip="127.0.0.1")


def test_it_keeps_no_token(viewer: User) -> None:
    token = make_link(viewer, by=CONSOLE)
    kept = " ".join(str(value) for value in SignInLink.objects.values().get().values())
    assert token not in kept


def test_it_lasts_fifteen_minutes(viewer: User) -> None:
    token = make_link(viewer, by=CONSOLE)
    left = SignInLink.objects.get().expires_at - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    SignInLink.objects.update(expires_at=datetime.now(UTC))
    with pytest.raises(BadLink):
        redeem_link(token, ip="")


@pytest.mark.parametrize("token", ["", "abc", "x" * 43, "x" * 1_000_000, "é" * 43, "\x00" * 43])
def test_what_was_never_made_signs_nobody_in(viewer: User, token: str) -> None:
    make_link(viewer, by=CONSOLE)
    with pytest.raises(BadLink):
        redeem_link(token, ip="")


def test_the_locked_out_get_no_link_and_cannot_use_an_old_one(viewer: User) -> None:
    token = make_link(viewer, by=CONSOLE)
    User.objects.update(is_active=False)
    with pytest.raises(BadLink):
        redeem_link(token, ip="")
    viewer.refresh_from_db()
    with pytest.raises(Refused):
        make_link(viewer, by=CONSOLE)
    User.objects.update(is_active=True)
    viewer.refresh_from_db()
    set_active(viewer, False, by=CONSOLE)
    set_active(viewer, True, by=CONSOLE)
    with pytest.raises(BadLink):
        redeem_link(token, ip="")


def test_links_can_be_revoked(viewer: User) -> None:
    made = [make_link(viewer, by=CONSOLE) for _ in range(3)]
    redeem_link(made[0], ip="")
    assert revoke_links(viewer, by=CONSOLE) == 2
    for token in made:
        with pytest.raises(BadLink):
            redeem_link(token, ip="")


@pytest.mark.django_db(transaction=True)
def test_of_many_who_open_it_at_once_one_gets_in(viewer: User) -> None:
    token = make_link(viewer, by=CONSOLE)
    start = threading.Barrier(6)
    got: list[str] = []

    def open_it() -> None:
        start.wait()
        try:
            got.append(redeem_link(token, ip="").username)
        except BadLink:
            got.append("")
        finally:
            connection.close()

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["", "", "", "", "", "vera"]
    assert SignInLink.objects.get(hash=tokens.digest(token)).used_at
