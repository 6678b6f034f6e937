from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session

from apps.access import tasks
from apps.access.actor import CONSOLE
from apps.access.commands import sweep as sweeping
from apps.access.commands.keys import create_key
from apps.access.commands.links import make_link
from apps.access.commands.sweep import sweep
from apps.access.commands.trail import note
from apps.access.models import ApiKey, SignInLink, Trail, User
from apps.eventlog.places import Line

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


def attempt(at: datetime) -> None:
    made = AccessAttempt.objects.create(
        username="vera", ip_address="::1", user_agent=str(at), failures_since_start=1
    )
    AccessAttempt.objects.filter(pk=made.pk).update(attempt_time=at)


def test_it_erases_what_has_run_out_and_nothing_else(viewer: User, shop: Line) -> None:
    Trail.objects.all().delete()
    for age in (timedelta(0), timedelta(days=400)):
        make_link(viewer, by=CONSOLE)
        SignInLink.objects.filter(pk=SignInLink.objects.latest("pk").pk).update(
            expires_at=NOW - age
        )
        key = create_key(shop.system, scopes=["read"], by=CONSOLE)
        ApiKey.objects.filter(pk=key.id).update(revoked_at=NOW - age)
        Session.objects.create(
            session_key=f"s{age.days}", expire_date=NOW + timedelta(days=1) - age
        )
        attempt(NOW - age)
    Trail.objects.all().delete()
    for age in (timedelta(0), timedelta(days=400)):
        note(CONSOLE, "created system", str(age.days))
        Trail.objects.filter(object=str(age.days)).update(at=NOW - age)
    live = create_key(shop.system, scopes=["read"], by=CONSOLE)

    assert sweep(now=NOW) == {"links": 1, "attempts": 1, "keys": 1, "trail": 1}
    assert sweep(now=NOW) == {"links": 0, "attempts": 0, "keys": 0, "trail": 0}
    assert SignInLink.objects.count() == AccessAttempt.objects.count() == 1
    assert [session.session_key for session in Session.objects.all()] == ["s0"]
    assert ApiKey.objects.filter(pk=live.id).exists()
    assert not Trail.objects.filter(object="400").exists()
    assert Trail.objects.filter(object="0").exists()


def test_a_link_is_kept_a_day_and_a_lockout_its_ten_minutes(viewer: User) -> None:
    make_link(viewer, by=CONSOLE)
    attempt(NOW - timedelta(minutes=9))
    assert sum(sweep(now=NOW + timedelta(seconds=1)).values()) == 0


def test_it_erases_many_in_small_bites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "AT_ONCE", 3)
    for number in range(10):
        note(CONSOLE, "created system", str(number))
    Trail.objects.update(at=NOW - timedelta(days=366))
    assert sweep(now=NOW)["trail"] == 10


def test_the_task_sweeps_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    note(CONSOLE, "created system", "shop")
    Trail.objects.update(at=NOW - timedelta(days=366))
    with caplog.at_level("INFO"):
        tasks.sweep()
        tasks.sweep()
    assert [record.getMessage() for record in caplog.records] == ["Swept 1 trail."]
