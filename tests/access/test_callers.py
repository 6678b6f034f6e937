from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import RequestFactory

from apps.access.actor import Actor
from apps.access.errors import BadKey, NotAllowed, NotVisible, WrongScope
from apps.access.models import User
from apps.access.queries.callers import actor, bearer_of, caller, line_for
from apps.eventlog.commands.systems import fork
from apps.eventlog.errors import UnknownTimeline
from apps.eventlog.places import Line
from tests.access.conftest import key_of

pytestmark = pytest.mark.django_db


def request(user: User | None = None, authorization: str | None = None) -> HttpRequest:
    headers = {} if authorization is None else {"Authorization": authorization}
    made = RequestFactory().get("/", headers=headers)
    made.user = user or AnonymousUser()
    return made


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic dTpw", ""),
        ("Bearer", ""),
        ("", ""),
        ("abc", ""),
    ],
)
def test_the_token_is_taken_from_the_header(header: str | None, token: str | None) -> None:
    assert bearer_of(request(authorization=header)) == token


def test_a_person_sees_their_systems(viewer: User, shop: Line, bank: Line) -> None:
    assert line_for(request(viewer), "shop").timeline == shop.timeline
    for slug in ("bank", "none", "", "../shop", "shop\x00", "é", "\ud800"):
        with pytest.raises(NotVisible):
            line_for(request(viewer), slug)


def test_nobody_is_told_to_come_with_a_key(shop: Line) -> None:
    assert not caller(request())
    for slug in ("shop", "none"):
        with pytest.raises(BadKey):
            line_for(request(), slug)


def test_a_role_too_low_is_told_so(viewer: User, admin: User, shop: Line) -> None:
    with pytest.raises(NotAllowed):
        line_for(request(viewer), "shop", role="debugger")
    assert line_for(request(admin), "shop", role="admin")


def test_a_key_sees_its_system_alone(shop: Line, bank: Line) -> None:
    bearer = f"Bearer {key_of(shop, 'read')}"
    assert line_for(request(authorization=bearer), "shop").slug == "shop"
    for slug in ("bank", "none"):
        with pytest.raises(NotVisible):
            line_for(request(authorization=bearer), slug)


def test_a_key_needs_the_scope_that_stands_for_the_role(shop: Line) -> None:
    opened = {
        (scope, role)
        for scope in ("ingest", "read", "write")
        for role in ("viewer", "debugger", "admin")
        if opens(key_of(shop, scope), role)
    }
    assert opened == {("read", "viewer"), ("write", "viewer"), ("write", "debugger")}


def opens(key: str, role: str) -> bool:
    try:
        return bool(line_for(request(authorization=f"Bearer {key}"), "shop", role=role))
    except WrongScope:
        return False


def test_a_bad_key_is_not_saved_by_a_good_session(admin: User, shop: Line) -> None:
    for header in ("Bearer nonsense", "Basic dTpw", ""):
        with pytest.raises(BadKey):
            line_for(request(admin, header), "shop")


def test_a_fork_is_reached_through_its_own_system_only(
    shop: Line, bank: Line, anywhere: User
) -> None:
    made = fork(shop, base=0)
    line = line_for(request(anywhere), "shop", timeline=made.timeline)
    assert line.timeline == made.timeline
    for slug, timeline in (("bank", made.timeline), ("shop", bank.timeline), ("shop", 10**9)):
        with pytest.raises(UnknownTimeline):
            line_for(request(anywhere), slug, timeline=timeline)


def test_the_trail_names_people_and_keys(viewer: User, shop: Line) -> None:
    assert actor(request(viewer)) == Actor("vera", viewer.pk, "127.0.0.1")
    assert actor(request()) == Actor("nobody", None, "127.0.0.1")
    secret = key_of(shop, "read")
    named = actor(request(authorization=f"Bearer {secret}"))
    assert named.name.startswith("key ")
    assert secret not in named.name
