"""What comes from outside besides the doors, and what could not become an event."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models


class Tap(models.Model):
    """A listening point on a bus: where, how it is read, how far it is, and what came of it.

    received = stored + duplicates + rejected, after every commit. `owner`, `fence` and
    `lease_until` say who runs it: a commit with an old fence is refused, so that a process that was
    stopped for a while and wakes up cannot write behind its successor's back.
    """

    system = models.BigIntegerField()
    timeline = models.BigIntegerField(help_text="Where its events go.")
    name = models.CharField(
        max_length=63,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9_-]*\Z", "Lower-case letters, digits, - _")],
    )
    bus = models.CharField(max_length=32)
    identity = models.CharField(
        max_length=16, blank=True, help_text="Tells its things on the bus from all other taps'."
    )
    sealed = models.BinaryField(help_text="Settings, encrypted.")
    wanted = models.BooleanField(default=True, help_text="Whether it should run.")
    cursor = models.TextField(default="{}", help_text="As the connector gave it, in JSON.")

    owner = models.CharField(max_length=64, blank=True)
    fence = models.BigIntegerField(default=0)
    lease_until = models.BigIntegerField(default=0, help_text="µs since 1970.")

    received = models.BigIntegerField(default=0)
    stored = models.BigIntegerField(default=0)
    duplicates = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    deliveries = models.BigIntegerField(default=0)
    gaps = models.BigIntegerField(default=0)

    state = models.CharField(max_length=16, default="new")
    said = models.TextField(blank=True, help_text="The last error or note, without secrets.")
    said_at = models.BigIntegerField(null=True)
    rate = models.FloatField(default=0, help_text="Records a second, lately.")
    lag = models.BigIntegerField(null=True)
    delay = models.BigIntegerField(null=True, help_text="µs")
    last_at = models.BigIntegerField(null=True, help_text="When the last record came.")
    created_at = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["system", "name"], name="ingest_tap_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Leaving(models.Model):
    """What a tap that is no more still has on its bus, to be taken away in time."""

    name = models.CharField(max_length=96, help_text="By which the bus knows the tap.")
    bus = models.CharField(max_length=32)
    sealed = models.BinaryField(help_text="Settings, encrypted.")
    since = models.BigIntegerField(help_text="µs since 1970.")
    due = models.BigIntegerField(db_index=True, help_text="When it is tried next.")
    tries = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Span(models.Model):
    """Which positions the records of one lane became, in one commit: so that what a bus tells of
    an offset can be told of the event."""

    tap = models.BigIntegerField()
    lane = models.BigIntegerField(help_text="Hash of channel, partition and epoch.")
    first = models.CharField(max_length=255, help_text="Lowest offset, so written that it sorts.")
    last = models.CharField(max_length=255)
    places = models.BinaryField(help_text="MessagePack: offset to position.")

    class Meta:
        indexes = [models.Index(fields=["tap", "lane", "first"], name="ingest_span_by_offset")]


class Unplaced(models.Model):
    """A delivery of a record that has not come yet."""

    tap = models.BigIntegerField(db_index=True)
    lane = models.BigIntegerField()
    offset = models.CharField(max_length=255)
    delivery = models.BinaryField()
    seen_at = models.BigIntegerField()


class Reject(models.Model):
    """A line of a stream or file, or a record of a tap, that is no event. Kept, so that nothing
    that came is lost."""

    timeline = models.BigIntegerField(help_text="Where it would have gone.")
    received_at = models.BigIntegerField(help_text="Our clock, µs since 1970.")
    origin = models.CharField(max_length=255, help_text="The door, file or tap it came by.")
    line = models.BigIntegerField(help_text="Its line there, from 1.")
    code = models.CharField(max_length=64)
    detail = models.TextField()
    content_type = models.CharField(max_length=255, blank=True)
    size = models.BigIntegerField(help_text="Bytes it had.")
    data = models.BinaryField(help_text="Its first 64 KiB, verbatim.")
    tap = models.BigIntegerField(null=True, db_index=True)
    record = models.BinaryField(null=True, help_text="What the bus said beside it: MessagePack.")

    class Meta:
        indexes = [models.Index(fields=["timeline", "id"], name="ingest_reject_by_timeline")]

    def __str__(self) -> str:
        return f"{self.origin}:{self.line} {self.code}"


class Awaited(models.Model):
    """A run of a sandbox that waits for what copies of services publish."""

    token = models.CharField(max_length=32, unique=True)
    timeline = models.BigIntegerField(help_text="Whose keys may publish for it.")
    since = models.DateTimeField(auto_now_add=True)


class Returned(models.Model):
    """An event a copy published for a run, until the run has taken it."""

    run = models.ForeignKey(Awaited, on_delete=models.CASCADE, related_name="returned")
    number = models.BigIntegerField(help_text="Of the event that was handed out.")
    event_id = models.CharField(max_length=1024)
    size = models.BigIntegerField()
    envelope = models.BinaryField(help_text="MessagePack.")

    class Meta:
        indexes = [models.Index(fields=["run", "number"], name="ingest_returned_by_mark")]
