from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser

from apps.access.actor import CONSOLE
from apps.access.commands import links, people
from apps.access.errors import NotAllowed, NotVisible, Refused
from apps.access.models import SignInLink, User
from apps.access.queries.people import members_of, require, role_of, systems_of
from apps.eventlog.places import Line
from tests.access.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def seats(user: User | AnonymousUser) -> list[tuple[str, str]]:
    return [(seat.line.slug, seat.role) for seat in systems_of(user)]


def test_it_works(viewer: User, shop: Line, bank: Line) -> None:
    assert role_of(viewer, shop.system) == "viewer"
    assert role_of(viewer, bank.system) == ""
    assert seats(viewer) == [("shop", "viewer")]


def test_a_superuser_administers_every_system(anywhere: User, shop: Line, bank: Line) -> None:
    assert seats(anywhere) == [("bank", "admin"), ("shop", "admin")]
    assert require(anywhere, bank.system, role="admin") == "admin"


def test_nobody_and_the_locked_out_see_nothing(viewer: User, anywhere: User, shop: Line) -> None:
    for user in (viewer, anywhere):
        people.set_active(user, False, by=CONSOLE)
    for nobody in (AnonymousUser(), viewer, anywhere):
        assert seats(nobody) == []
        with pytest.raises(NotVisible):
            require(nobody, shop.system)


def test_a_member_may_do_what_the_role_includes(viewer: User, admin: User, shop: Line) -> None:
    assert require(viewer, shop.system, role="viewer") == "viewer"
    with pytest.raises(NotAllowed, match="'debugger'; yours is 'viewer'"):
        require(viewer, shop.system, role="debugger")
    assert require(admin, shop.system, role="debugger") == "admin"


def test_a_foreign_system_is_as_if_it_were_not_there(stranger: User, shop: Line) -> None:
    with pytest.raises(NotVisible) as foreign:
        require(stranger, shop.system, role="admin")
    with pytest.raises(NotVisible) as unknown:
        require(stranger, 999_999, role="admin")
    assert str(foreign.value) == str(unknown.value)


def test_members_are_listed_by_name(
    viewer: User, admin: User, anywhere: User, stranger: User, shop: Line
) -> None:
    assert members_of(shop.system) == [
        (admin, "admin", False),
        (anywhere, "admin", True),
        (viewer, "viewer", False),
    ]


def test_a_role_can_be_changed_and_taken(viewer: User, shop: Line) -> None:
    people.set_role(viewer, shop.system, "debugger", by=CONSOLE)
    assert role_of(viewer, shop.system) == "debugger"
    people.remove_member(viewer, shop.system, by=CONSOLE)
    assert role_of(viewer, shop.system) == ""
    with pytest.raises(NotVisible):
        people.remove_member(viewer, shop.system, by=CONSOLE)


def test_a_role_there_is_not_is_refused(viewer: User, shop: Line) -> None:
    with pytest.raises(Refused, match="'owner'; expected one of viewer, debugger, admin"):
        people.set_role(viewer, shop.system, "owner", by=CONSOLE)
    assert role_of(viewer, shop.system) == "viewer"


@pytest.mark.parametrize(
    "name", ["", "two words", "new\nline", "nul\x00", "x" * 151, "<script>", "\u202eevil", "vera"]
)
def test_a_name_that_cannot_be_used_is_refused(viewer: User, name: str) -> None:
    with pytest.raises(Refused):
        people.create_user(name, by=CONSOLE)
    assert User.objects.count() == 1


@pytest.mark.parametrize("password", ["", "short", "password1234", "x" * 5000])
def test_a_weak_password_is_refused(viewer: User, password: str) -> None:
    with pytest.raises(Refused):
        people.set_password(viewer, password, by=CONSOLE)
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


def test_without_a_password_nobody_signs_in_with_one() -> None:
    user = people.create_user("linus", by=CONSOLE)
    assert not user.has_usable_password()
    assert not user.check_password("")


def test_a_new_password_voids_links_that_lie_around(viewer: User) -> None:
    links.make_link(viewer, by=CONSOLE)
    people.set_password(viewer, "a much better one", by=CONSOLE)
    assert not SignInLink.objects.exists()
    assert User.objects.get().check_password("a much better one")
