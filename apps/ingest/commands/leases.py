"""Who runs which tap: a lease of 30 s in the database, so that several processes share them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from django.db.models import F

from apps.ingest import buses
from apps.ingest.models import Tap

LEASE = 30_000_000  # µs


def take(owner: str, names: Sequence[str], *, but: Collection[int] = ()) -> list[Tap]:
    """Take every tap that is wanted and nobody runs, and return them. [] for names is all.

    but  those the caller is still busy with
    """
    now = _now()
    free = Tap.objects.filter(wanted=True, lease_until__lt=now).exclude(pk__in=but)
    free = free.exclude(bus__in=buses.pushed())
    if names:
        free = free.filter(name__in=names)
    taken = []
    for tap in free.order_by("pk")[:100]:
        won = Tap.objects.filter(
            pk=tap.pk, fence=tap.fence, wanted=True, lease_until__lt=now
        ).update(owner=owner, fence=F("fence") + 1, lease_until=now + LEASE)
        if won:
            tap.refresh_from_db()
            taken.append(tap)
    return taken


def renew(pk: int, fence: int, **fields: object) -> bool:
    """Hold a tap longer, and write down how it does; False when it is no longer ours."""
    held = Tap.objects.filter(pk=pk, fence=fence)
    return bool(held.update(lease_until=_now() + LEASE, **fields))


def let_go(pk: int, fence: int) -> None:
    """Give a tap back at once."""
    Tap.objects.filter(pk=pk, fence=fence).update(lease_until=0, owner="", rate=0)


def _now() -> int:
    return time.time_ns() // 1000
