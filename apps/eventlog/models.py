"""The tables of the log. Only `commands.append` inserts events; `commands.forget` erases data."""

from __future__ import annotations

from typing import Any

from django.core.validators import RegexValidator
from django.db import models


class Key(models.BigIntegerField):  # type: ignore[type-arg]
    """A 64-bit primary key that SQLite uses as its rowid: one b-tree less per event."""

    def db_type(self, connection: Any) -> str:
        return "integer" if connection.vendor == "sqlite" else "bigint"


class System(models.Model):
    """An event-driven system under study: the tenant everything belongs to."""

    slug = models.CharField(
        max_length=63,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]*\Z", "Lower-case letters, digits, '-'.")],
    )
    name = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug


class Timeline(models.Model):
    """An ordered history: a system's original (no parent), or a fork of one.

    The row an append locks. Database sequences hand out numbers in one order and commit them in
    another, so a reader can skip an event that becomes visible late; one lock makes position
    order and commit order the same, and leaves no gaps.
    """

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="timelines")
    name = models.CharField(max_length=255, blank=True)
    parent = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="forks", db_index=True
    )
    base = models.BigIntegerField(default=0, help_text="The last position shared with the parent.")
    head = models.BigIntegerField(default=0, help_text="The last position given out.")
    log_time = models.BigIntegerField(null=True, help_text="log_time of the head, µs since 1970.")
    forgotten = models.BigIntegerField(default=0, help_text="How many tombstones it holds.")
    epoch = models.IntegerField(
        default=0, help_text="Raised when rows change by other means than an append."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["system"],
                condition=models.Q(parent=None),
                name="eventlog_one_original",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.system_id}/{self.pk}"


class Lane(models.Model):
    """One combination of the repeated strings an event carries, stored once.

    There are hundreds of combinations where there are millions of events, so one small integer
    stands for six columns, one index serves filters on any of them, and the rollups are kept
    per lane.
    """

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(max_length=32)
    kind = models.CharField(max_length=16)
    type = models.TextField()
    source = models.TextField()
    channel = models.TextField()
    tap = models.TextField()
    content_type = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["system", "digest"], name="eventlog_lane_once"),
        ]


class Stream(models.Model):
    """The name of a stream, stored once per system; `category` is what precedes the first '-'."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=1024)
    category = models.CharField(max_length=1024)


class Correlation(models.Model):
    """A correlation id, stored once per system."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=1024)


class Event(models.Model):
    """One fact, written once. The indexes are in the migration: they differ by database.

    `cause` is derived and the one column that may be filled in later: when an effect arrives
    before its cause, `Waiting` holds the cause's id until then.
    """

    place = Key(primary_key=True, help_text="timeline << 40 | position")
    time = models.BigIntegerField(help_text="The producer's clock, µs since 1970.")
    recorded_at = models.BigIntegerField(help_text="Our clock, µs since 1970.")
    log_time = models.BigIntegerField(help_text="Never falls as positions rise.")
    cause = models.BigIntegerField(null=True, help_text="Position of the causing event.")
    correlation_id = models.BigIntegerField(null=True)
    stream_id = models.BigIntegerField(null=True)
    lane_id = models.IntegerField()
    revision = models.IntegerField(null=True, help_text="Place in its stream, from 0.")
    checksum = models.IntegerField(help_text="CRC-32 of id, metadata and data, signed.")
    event_id = models.BinaryField(help_text="UTF-8, or NUL and 16 bytes for a canonical UUID.")
    partition = models.TextField()
    offset = models.TextField()
    key = models.TextField()
    metadata = models.BinaryField()
    data = models.BinaryField(null=True, help_text="As received; null once forgotten.")


class Waiting(models.Model):
    """An effect whose cause is not in the log (yet): the cause's id, so that it can be resolved."""

    place = Key(primary_key=True, help_text="The effect.")
    timeline = models.BigIntegerField()
    digest = models.BigIntegerField(help_text="Hash of the cause's id.")
    causation = models.TextField()
    source = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["timeline", "digest"], name="eventlog_waiting_for")]


class Repeat(models.Model):
    """How often an event arrived, where that was more than once."""

    place = Key(primary_key=True)
    seen = models.BigIntegerField()


class Conflict(models.Model):
    """Two events with the same source and id but different content; both are kept."""

    place = Key(primary_key=True, help_text="The later one.")
    earlier = models.BigIntegerField(help_text="Position of the first one.")


class Rollup(models.Model):
    """Events per span of time and lane; lane 0 is the sum of all. Kept by the append itself."""

    pk = models.CompositePrimaryKey("timeline", "span", "lane", "bucket")
    timeline = models.BigIntegerField()
    span = models.IntegerField(help_text="60 or 3600 seconds.")
    lane = models.IntegerField()
    bucket = models.BigIntegerField(help_text="log_time // span")
    count = models.BigIntegerField()
    failed = models.BigIntegerField()
    first = models.BigIntegerField(help_text="First position in this span and lane.")


class SeenRun(models.Model):
    """The filters of one run of 65 536 positions: which ids may be in it (see seen.py)."""

    run = Key(primary_key=True, help_text="timeline << 24 | run")
    by_id = models.BinaryField()
    by_identity = models.BinaryField()


class SeenChunk(models.Model):
    """A 256th of a run's identities: (hash of id, check of source, offset), 14 bytes each."""

    chunk = Key(primary_key=True, help_text="run << 8 | top 8 bits of the hash")
    entries = models.BinaryField()
