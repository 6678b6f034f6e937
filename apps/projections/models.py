"""What is kept of states: snapshots, which can be dropped but for the kept; code and watches."""

from __future__ import annotations

from django.db import models


def _events() -> list[str]:
    return ["event"]


class Projection(models.Model):
    """One way to make states of events. Changed code is another, so it reads no old snapshot."""

    fingerprint = models.CharField(max_length=128, unique=True)


class Snapshot(models.Model):
    """The state of one stream after one event, so that a rewind need not begin at the first."""

    projection = models.IntegerField()
    stream = models.BigIntegerField(help_text="Number of the stream; 0 for a state of all.")
    place = models.BigIntegerField(help_text="timeline << 40 | position of the event.")
    state = models.BinaryField(help_text="JSON, compressed.")
    marks = models.BinaryField(help_text="Positions that set the leaves, in order, compressed.")
    note = models.TextField(blank=True, help_text="What is wrong with the state, if anything.")
    kept = models.BooleanField(
        default=False, help_text="Its events were erased: it cannot be made again."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "stream", "place"], name="projections_snapshot_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["projection", "place"],
                name="projections_kept",
                condition=models.Q(kept=True),
            )
        ]


class Code(models.Model):
    """Code that makes states: typed in the browser, or the files of modules as they were."""

    system = models.BigIntegerField(help_text="0 for modules, which belong to none.")
    name = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=160)
    streams = models.JSONField(default=list)
    kinds = models.JSONField(default=_events)
    by = models.CharField(max_length=8, default="stream")
    version = models.IntegerField(default=1)
    source = models.TextField(help_text="Python; of modules, their names and files as JSON.")
    current = models.BooleanField(default=False, help_text="The one its name stands for.")
    owner = models.BigIntegerField(default=0, help_text="Number of the person who typed it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["system", "fingerprint"], name="projections_code_once")
        ]


class Follower(models.Model):
    """How far snapshots were made behind the head of a timeline."""

    timeline = models.BigIntegerField(primary_key=True)
    position = models.BigIntegerField(default=0)


class Search(models.Model):
    """A search for the first event where something holds that goes on behind the page.

    It is cut into parts that workers take one by one. A worker says in its part how far it is,
    and holds it by a lease it renews; a part whose lease ran out is taken by another.
    """

    system = models.BigIntegerField()
    timeline = models.BigIntegerField()
    owner = models.BigIntegerField()
    stream = models.CharField(max_length=1025, blank=True)
    projection = models.CharField(max_length=200, blank=True)
    expression = models.CharField(max_length=2000)
    after = models.BigIntegerField()
    upto = models.BigIntegerField()
    stopped = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["system", "owner"], name="projections_searches")]


class Part(models.Model):
    """One share of a search: some of the streams, or a stretch of one stream's events."""

    search = models.ForeignKey(Search, on_delete=models.CASCADE, related_name="parts")
    share = models.IntegerField(default=0)
    of = models.IntegerField(default=1)
    apart = models.JSONField(
        default=list, help_text="[number, low, high] of streams of which it takes a stretch."
    )
    after = models.BigIntegerField()
    upto = models.BigIntegerField()
    lease = models.FloatField(default=0, help_text="Until when somebody works on it; s since 1970.")
    at = models.BigIntegerField(default=0, help_text="The position it has come to.")
    checked = models.BigIntegerField(default=0)
    done = models.BooleanField(default=False)
    found = models.BigIntegerField(null=True, help_text="The position it found.")
    found_stream = models.CharField(max_length=1024, blank=True)

    class Meta:
        indexes = [models.Index(fields=["search"], name="projections_parts")]


class Watch(models.Model):
    """An expression somebody looks at while moving through time."""

    system = models.BigIntegerField()
    owner = models.BigIntegerField(help_text="Number of the person.")
    stream = models.CharField(
        max_length=1024, blank=True, help_text="One that ends with * stands for all that begin so."
    )
    projection = models.CharField(max_length=200, blank=True)
    expression = models.CharField(max_length=2000)
    must_hold = models.BooleanField(default=False, help_text="A rule: broken where it is false.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["system", "owner"], name="projections_watches")]
