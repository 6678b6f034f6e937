"""What happens to snapshots when the log forgets: they were made of what is to be gone."""

from __future__ import annotations

from typing import Any

from apps.eventlog import signals
from apps.projections.models import Follower, Snapshot


def listen() -> None:
    """Connect to the log's signals. Call once, when Django is ready."""
    signals.forgotten.connect(drop, dispatch_uid="projections.drop")


def drop(timelines: list[int], **_: Any) -> None:
    """Drop every snapshot of these timelines; what is left of their events makes new ones."""
    Follower.objects.filter(timeline__in=timelines).delete()
    for timeline in timelines:
        low, high = timeline << 40, (timeline + 1) << 40
        Snapshot.objects.filter(place__gte=low, place__lt=high).delete()
