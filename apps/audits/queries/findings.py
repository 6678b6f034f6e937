"""The findings there are, as of a moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db.models import Q

from apps.audits.models import Finding
from apps.eventlog.places import Line

LIMIT = 50


def findings(
    line: Line, *, at: int, open_only: bool = False, after: int = 0, muted: bool = True
) -> list[Finding]:
    """Return what was noticed by the time `at` (log_time, µs), newest first, at most 50.

    open_only  only what had not ended by then
    after      only what began after this time
    muted      those somebody muted for a while, too
    """
    known = Finding.objects.filter(
        timeline__in=_timelines(line.segments), noticed__lte=at, start__gt=after
    )
    if open_only:
        known = known.filter(Q(end=None) | Q(end__gt=at))
    if not muted:
        known = known.filter(Q(muted_until=None) | Q(muted_until__lte=datetime.now(UTC)))
    found = known.order_by("-start", "code", "subject")[:LIMIT]
    upto = {s.timeline: s.upto for s in line.segments}  # of a fork's past only what it shares
    return [f for f in found if f.position <= upto[f.timeline]]


def _timelines(segments: Iterable) -> list[int]:  # type: ignore[type-arg]
    return [segment.timeline for segment in segments]
