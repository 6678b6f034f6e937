"""The baseline: the table one writes first, with the columns and look-ups of the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models

from apps.eventlog.envelope import Envelope, microseconds, moment


class Plain(models.Model):
    """One event per row, every string spelled out; `id` is the position."""

    timeline = models.BigIntegerField()
    kind = models.CharField(max_length=16)
    event_id = models.CharField(max_length=1024)
    source = models.CharField(max_length=1024)
    type = models.CharField(max_length=1024)
    stream = models.CharField(max_length=1024)
    revision = models.IntegerField(null=True)
    time = models.DateTimeField()
    recorded_at = models.DateTimeField()
    log_time = models.DateTimeField()
    correlation = models.CharField(max_length=1024)
    causation = models.CharField(max_length=1024)
    channel = models.CharField(max_length=1024)
    partition = models.CharField(max_length=1024)
    offset = models.CharField(max_length=1024)
    key = models.CharField(max_length=1024)
    tap = models.CharField(max_length=1024)
    content_type = models.CharField(max_length=1024)
    data = models.JSONField(null=True)
    metadata = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "event_id"], name="plain_once")]
        indexes = [
            models.Index(fields=["stream", "id"], name="plain_stream"),
            models.Index(fields=["correlation", "id"], name="plain_correlation"),
            models.Index(fields=["causation"], name="plain_causation"),
            models.Index(fields=["type", "id"], name="plain_type"),
            models.Index(fields=["source", "id"], name="plain_source"),
            models.Index(fields=["log_time"], name="plain_log_time"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


def plain(e: Envelope, value: Any, recorded_at: int) -> Plain:
    """Return an envelope as an unsaved row; `value` is its data, parsed."""
    at = moment(recorded_at if e.time is None else e.time)
    return Plain(
        timeline=1, kind=e.kind, event_id=e.id, source=e.source, type=e.type, stream=e.stream,
        revision=None, time=at, recorded_at=moment(recorded_at), log_time=at,
        correlation=e.correlation, causation=e.causation, channel=e.channel, partition=e.partition,
        offset=e.offset, key=e.key, tap=e.tap, content_type=e.content_type, data=value,
    )  # fmt: skip


NAMES = ("type", "id", "source", "subject", "time", "correlationid", "causationid")


def from_cloudevent(event: dict[str, object], recorded_at: int) -> Plain:
    """Return a parsed CloudEvent as an unsaved row."""
    text = {name: str(event.get(name, "")) for name in NAMES}
    envelope = Envelope(
        type=text["type"], id=text["id"], source=text["source"], stream=text["subject"],
        time=microseconds(datetime.fromisoformat(text["time"])),
        correlation=text["correlationid"], causation=text["causationid"],
    )  # fmt: skip
    return plain(envelope, event.get("data"), recorded_at)
