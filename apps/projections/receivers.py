"""What happens to snapshots when the log forgets: they were made of what is to be gone."""

from __future__ import annotations

from typing import Any

from apps.eventlog import signals
from apps.eventlog.places import Line, place
from apps.projections.commands.compact import keep_states
from apps.projections.models import Follower, Snapshot


def listen() -> None:
    """Connect to the log's signals. Call once, when Django is ready."""
    signals.forgotten.connect(drop, dispatch_uid="projections.drop")
    signals.keeping.connect(keep, dispatch_uid="projections.keep")


def keep(line: Line, before: int, **_: Any) -> str:
    """Keep the state of each entity as the events to be erased leave it."""
    return f"{keep_states(line, before=before)} states kept"


def drop(
    timelines: list[int], stream: int | None = None, before: int | None = None, kept: bool = False,
    **_: Any,
) -> None:  # fmt: skip
    """Drop every snapshot of these timelines; what is left of their events makes new ones.

    Kept ones go with what they were made of: their stream, or everything before a position, unless
    they were made to stay when that is erased.
    """
    Follower.objects.filter(timeline__in=timelines).delete()
    for timeline in timelines:
        rows = Snapshot.objects.filter(
            place__gte=place(timeline, 0), place__lt=place(timeline + 1, 0)
        )
        rows.filter(kept=False).delete()
        if stream is not None:
            rows.filter(stream=stream).delete()
        if before is not None and not kept:
            rows.filter(place__lt=place(timeline, before)).delete()
