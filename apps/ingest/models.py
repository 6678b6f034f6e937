"""What could not become an event, kept as it came."""

from __future__ import annotations

from django.db import models


class Reject(models.Model):
    """A line of a stream or file that is no event. Kept, so that nothing that came is lost."""

    timeline = models.BigIntegerField(help_text="Where it would have gone.")
    received_at = models.BigIntegerField(help_text="Our clock, µs since 1970.")
    origin = models.CharField(max_length=255, help_text="The door or file it came by.")
    line = models.BigIntegerField(help_text="Its line there, from 1.")
    code = models.CharField(max_length=64)
    detail = models.TextField()
    content_type = models.CharField(max_length=255, blank=True)
    size = models.BigIntegerField(help_text="Bytes it had.")
    data = models.BinaryField(help_text="Its first 64 KiB, verbatim.")

    class Meta:
        indexes = [models.Index(fields=["timeline", "id"], name="ingest_reject_by_timeline")]

    def __str__(self) -> str:
        return f"{self.origin}:{self.line} {self.code}"
