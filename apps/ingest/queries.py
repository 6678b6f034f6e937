"""What is known of the way in: whether it is open, how full it is, and what was turned away."""

from __future__ import annotations

from dataclasses import dataclass

from apps.eventlog.places import Line
from apps.ingest.models import Reject
from apps.ingest.writer import queue

LIMIT = 500


@dataclass(frozen=True, slots=True)
class Health:
    """Whether events can be stored now; `reason` says why not."""

    ok: bool
    reason: str
    queued_events: int
    queued_bytes: int


def health() -> Health:
    """Return the state of this process's writer.

    Where no write succeeded within the last seconds one is made, and waited for 3 s at most.
    """
    writer = queue.current()
    reason = writer.proof()
    return Health(not reason, reason, writer.waiting.events, writer.waiting.bytes)


def rejects(line: Line, *, after: int = 0, limit: int = 100) -> list[Reject]:
    """Return what could not become an event of a timeline, oldest first, by id after `after`."""
    rows = Reject.objects.filter(timeline=line.timeline, pk__gt=after).order_by("pk")
    return list(rows[: min(limit, LIMIT)])
