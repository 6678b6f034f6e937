"""Throwing away what has run out: links, sessions, failed sign-ins, old keys, old trail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module

from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import QuerySet

from apps.access.models import ApiKey, SignInLink, Trail

LINKS_STAY = timedelta(days=1)  # after they ran out
KEYS_STAY = timedelta(days=90)  # after they were revoked, so that lists tell what a key was
TRAIL_STAYS = timedelta(days=365)
AT_ONCE = 1000  # rows per statement, so that no append waits long behind the sweep


def sweep(*, now: datetime | None = None) -> dict[str, int]:
    """Erase what has run out and return how many of each. May be called at any time, twice too."""
    now = now or datetime.now(UTC)
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return {
        "links": _erase(SignInLink.objects.filter(expires_at__lt=now - LINKS_STAY)),
        "attempts": _erase(
            AccessAttempt.objects.filter(attempt_time__lt=now - settings.AXES_COOLOFF_TIME)
        ),
        "keys": _erase(ApiKey.objects.filter(revoked_at__lt=now - KEYS_STAY)),
        "trail": _erase(Trail.objects.filter(at__lt=now - TRAIL_STAYS)),
    }


def _erase(rows: QuerySet) -> int:  # type: ignore[type-arg]  # of any model
    erased = 0
    while ids := list(rows.values_list("pk", flat=True)[:AT_ONCE]):
        erased += rows.model._default_manager.filter(pk__in=ids).delete()[0]
    return erased
