"""Reading the trail of who did what."""

from __future__ import annotations

from apps.access.models import Trail

LIMIT = 500


def trail_of(system_id: int | None, *, before: int | None = None, limit: int = 100) -> list[Trail]:
    """Return entries about a system, newest first; None for those about no system (sign-ins).

    before  only entries with a lower id, to page on
    """
    entries = Trail.objects.filter(system_id=system_id)
    if before is not None:
        entries = entries.filter(pk__lt=before)
    return list(entries.order_by("-pk")[: min(limit, LIMIT)])
