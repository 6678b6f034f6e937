"""Not wanting to hear of a finding for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from apps.access.actor import Actor
from apps.access.commands.trail import note
from apps.access.errors import NotVisible
from apps.audits.models import Finding
from apps.eventlog.places import Line

HOUR = timedelta(hours=1)


def mute(line: Line, number: int, *, by: Actor, time: timedelta = HOUR) -> None:
    """Leave a finding out of what needs attention, for everybody, for a while; 0 ends that.

    raises  NotVisible where the line has no such finding
    """
    timelines = [segment.timeline for segment in line.segments]
    finding = Finding.objects.filter(pk=number, timeline__in=timelines).first()
    if finding is None:
        raise NotVisible
    finding.muted_until = datetime.now(UTC) + time if time else None
    finding.muted_by = by.name if time else ""
    finding.save(update_fields=["muted_until", "muted_by"])
    what = "muted finding" if time else "unmuted finding"
    note(by, what, f"{finding.code} {finding.subject}", system_id=line.system)
