"""What the reader derived from the log: one row per trace, and what is usual of each kind.

Deliveries are not copied, nor is the link from a cause to its effect: the log's own indexes by
cause and by correlation find them, both ways. What they cannot tell are further causes.
"""

from __future__ import annotations

from django.db import models


class Checkpoint(models.Model):
    """How far the reader has come in a timeline."""

    timeline = models.BigIntegerField(primary_key=True)
    position = models.BigIntegerField(default=0)


class Trace(models.Model):
    """One trace as of the checkpoint. A correlation id makes it, or else a first cause."""

    timeline = models.BigIntegerField()
    correlation = models.BigIntegerField(null=True)
    root = models.BigIntegerField(help_text="Position of the first event without a cause.")
    first = models.BigIntegerField(help_text="Its first position.")
    last = models.BigIntegerField(help_text="Its last position, deliveries included.")
    kind = models.BigIntegerField(help_text="Digest of the root's type.")
    variant = models.CharField(max_length=8)
    flags = models.IntegerField(help_text="Problems, bits in order of problem.FLAGS.")
    duration = models.BigIntegerField(help_text="µs")
    events = models.IntegerField()
    figures = models.BinaryField(help_text="Digests of what it adds to the sums, 8 bytes each.")

    class Meta:
        indexes = [
            models.Index(fields=["timeline", "first"], name="traces_by_first"),
            models.Index(fields=["timeline", "correlation"], name="traces_by_correlation"),
            models.Index(
                fields=["timeline", "root"],
                condition=models.Q(correlation=None),
                name="traces_by_root",
            ),
            models.Index(fields=["timeline", "kind", "first"], name="traces_by_kind"),
        ]


class Figure(models.Model):
    """A sum over all traces of a kind."""

    pk = models.CompositePrimaryKey("timeline", "digest")
    timeline = models.BigIntegerField()
    digest = models.BigIntegerField(help_text="Of kind and key.")
    kind = models.BigIntegerField()
    key = models.TextField(help_text="JSON list, see typical.py.")
    count = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["timeline", "kind"], name="traces_figure_kind")]


class Subscriber(models.Model):
    """Who was ever told anything in a timeline."""

    pk = models.CompositePrimaryKey("timeline", "name")
    timeline = models.BigIntegerField()
    name = models.CharField(max_length=1024)
    first = models.BigIntegerField(help_text="Position of the first report of a delivery to it.")
    last = models.BigIntegerField()


class Link(models.Model):
    """A delivery or span that is joined with others: what one caused, all caused.

    A span with several causes, such as a batch of messages in hand or a producer with span links,
    has a record for each. From a cause the log finds its record, this table the others; from an
    effect the other way round.
    """

    pk = models.CompositePrimaryKey("timeline", "digest", "position")
    timeline = models.BigIntegerField()
    digest = models.BigIntegerField(help_text="Of the group's name.")
    position = models.BigIntegerField()


class TraceId(models.Model):
    """Where a trace of OpenTelemetry begins: the first record made of one of its spans."""

    pk = models.CompositePrimaryKey("timeline", "digest")
    timeline = models.BigIntegerField()
    digest = models.BigIntegerField(help_text="Of the trace id.")
    position = models.BigIntegerField()
