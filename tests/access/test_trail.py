from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.access.actor import CONSOLE, Actor
from apps.access.commands import keys, links, people
from apps.access.commands.systems import create_system
from apps.access.commands.trail import note
from apps.access.errors import Refused
from apps.access.models import Trail, User
from apps.access.queries.trail import trail_of
from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line
from tests.access.conftest import PASSWORD

pytestmark = pytest.mark.django_db
ADA = Actor("ada", 7, "10.0.0.9")


def entries() -> list[tuple[str, str]]:
    return [(entry.what, entry.object) for entry in Trail.objects.order_by("pk")]


def test_it_tells_who_what_and_from_where(shop: Line) -> None:
    note(ADA, "created key", "1 evk_aaaaaaaa…", system_id=shop.system)
    entry = trail_of(shop.system)[0]
    assert (entry.who, entry.user_id, entry.ip) == ("ada", 7, "10.0.0.9")
    assert (entry.what, entry.object) == ("created key", "1 evk_aaaaaaaa…")
    assert abs((datetime.now(UTC) - entry.at).total_seconds()) < 60


def test_every_command_leaves_an_entry_and_no_secret() -> None:
    line = create_system("shop", by=ADA)
    user = people.create_user("vera", by=ADA, password=PASSWORD)
    people.set_password(user, "another good one", by=ADA)
    people.set_role(user, line.system, "viewer", by=ADA)
    people.remove_member(user, line.system, by=ADA)
    token = links.make_link(user, by=ADA)
    links.redeem_link(token, ip="::1")
    links.revoke_links(user, by=ADA)
    people.set_active(user, False, by=ADA)
    people.set_active(user, True, by=ADA)
    people.set_password(user, None, by=ADA)
    key = keys.create_key(line.system, scopes=["read"], by=Actor("vera", user.pk))
    renewed = keys.renew_key(key.id, by=ADA)
    keys.revoke_key(key.id, by=ADA)
    keys.revoke_key(key.id, by=ADA)  # nothing changed, nothing to tell
    assert entries() == [
        ("created system", "shop"),
        ("created user", "vera"),
        ("set password", "vera"),
        ("made viewer", "vera"),
        ("removed member", "vera"),
        ("made sign-in link", "vera"),
        ("signed in by link", "vera"),
        ("revoked sign-in links", "vera"),
        ("locked out user", "vera"),
        ("let in user", "vera"),
        ("removed password", "vera"),
        ("created key", f"{key.id} {key.secret[:12]}… (read)"),
        ("renewed key", f"{key.id} {renewed.secret[:12]}… (read)"),
        ("revoked key", f"{key.id} {renewed.secret[:12]}…"),
    ]
    told = " ".join(str(row) for row in Trail.objects.values())
    for secret in (PASSWORD, "another good one", token, key.secret[12:], renewed.secret[12:]):
        assert secret not in told


def test_what_was_refused_leaves_none(shop: Line) -> None:
    before = entries()
    for wrong in ("", "shop", "UPPER", "api", "signin", "a" * 64, "a/b", "é"):
        with pytest.raises((Refused, EventLogError)):
            create_system(wrong, by=ADA)
    assert entries() == before


def test_it_is_written_once() -> None:
    note(ADA, "created system", "shop")
    entry = Trail.objects.get()
    entry.who = "somebody else"
    with pytest.raises(AssertionError):
        entry.save()
    with pytest.raises(AssertionError):
        entry.delete()
    assert Trail.objects.get().who == "ada"


def test_an_entry_is_one_line_whatever_the_names() -> None:
    note(Actor("a\r\nb\x1b[31m", None, "x" * 99), "created user", "\x00\ud800\u202e" + "y" * 999)
    entry = Trail.objects.get()
    assert entry.who == "a��b�[31m"
    assert entry.object.startswith("���y")
    assert entry.object.endswith("…")
    assert len(entry.object) == 255
    assert len(entry.ip) == 45
    assert str(entry).isprintable()


def test_it_is_read_by_system_newest_first_and_in_pages(shop: Line, bank: Line) -> None:
    for number in range(5):
        note(ADA, "created key", str(number), system_id=shop.system)
    note(ADA, "created key", "theirs", system_id=bank.system)
    first = trail_of(shop.system, limit=2)
    assert [entry.object for entry in first] == ["4", "3"]
    rest = trail_of(shop.system, before=first[-1].pk, limit=10_000)
    assert [entry.object for entry in rest] == ["2", "1", "0"]


def test_an_entry_outlives_whom_it_names(viewer: User) -> None:
    note(Actor("vera", viewer.pk), "signed out", "vera")
    viewer.delete()
    assert trail_of(None)[0].who == "vera"


def test_what_is_rolled_back_leaves_none() -> None:
    with pytest.raises(Refused):
        people.create_user("vera", by=CONSOLE, password="short")
    assert entries() == []
