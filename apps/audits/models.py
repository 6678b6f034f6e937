"""What looked wrong in the flow of a timeline: derived from the log, may be dropped any time."""

from __future__ import annotations

from django.db import models


class Finding(models.Model):
    """Something that was far from its usual, from `start` until `end` (null: it still is)."""

    timeline = models.BigIntegerField()
    code = models.CharField(max_length=16, help_text="What is odd: see `Subject`.")
    subject = models.CharField(max_length=1024, help_text="A type, a subscriber, or a rule.")
    start = models.BigIntegerField(help_text="log_time, µs since 1970.")
    position = models.BigIntegerField(help_text="The first position at or after its start.")
    noticed = models.BigIntegerField(help_text="log_time at which it was certain.")
    end = models.BigIntegerField(null=True)
    stream = models.CharField(max_length=1024, blank=True, help_text="Whose state broke a rule.")
    rate = models.FloatField(help_text="As last seen: per second, µs, or events behind.")
    low = models.FloatField(help_text="What is usual, in the same unit.")
    high = models.FloatField()
    muted_until = models.DateTimeField(null=True)
    muted_by = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["timeline", "code", "subject", "start"], name="audits_finding_once"
            )
        ]
        indexes = [models.Index(fields=["timeline", "start"], name="audits_of_timeline")]

    def __str__(self) -> str:
        return f"{self.code} {self.subject} at #{self.position}"


class Looked(models.Model):
    """How far a timeline was looked at."""

    timeline = models.BigIntegerField(primary_key=True)
    step = models.BigIntegerField(help_text="The last step that was judged.")

    def __str__(self) -> str:
        return f"{self.timeline} to {self.step}"


class Ruled(models.Model):
    """How far a timeline was looked at for a rule that must hold."""

    timeline = models.BigIntegerField()
    subject = models.CharField(max_length=1024, help_text="As that of its findings.")
    position = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["timeline", "subject"], name="audits_ruled_once")
        ]

    def __str__(self) -> str:
        return f"{self.timeline}: {self.subject} to #{self.position}"


class Flow(models.Model):
    """A rule on the flow of a system's events: once begun, it must end within a time."""

    system = models.BigIntegerField()
    begins = models.CharField(max_length=1024, help_text="Type of the event that begins it.")
    ends = models.JSONField(help_text="Types, one of which ends it.")
    within = models.BigIntegerField(help_text="µs")
    by = models.CharField(max_length=16, help_text="What belongs together: correlation or stream.")
    digest = models.CharField(max_length=64, help_text="Of what begins, what ends, and by what.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["system", "digest"], name="audits_flow_once")
        ]

    def __str__(self) -> str:
        return f"{self.begins} → {' or '.join(self.ends)}"[:200]
