"""Dropping snapshots: no answer changes, only what it costs."""

from __future__ import annotations

from apps.eventlog.places import Line, place
from apps.projections.models import Follower, Snapshot


def drop_snapshots(line: Line) -> int:
    """Drop the snapshots of a line's own timeline and return how many there were.

    Those whose events were erased stay: nothing could make them again.
    """
    low, high = place(line.timeline, 0), place(line.timeline + 1, 0)
    Follower.objects.filter(timeline=line.timeline).delete()
    count, _ = Snapshot.objects.filter(place__gte=low, place__lt=high, kept=False).delete()
    return count
