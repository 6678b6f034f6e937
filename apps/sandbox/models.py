"""Sandboxes and their runs. What a run makes is on a timeline of its own, in the log."""

from __future__ import annotations

from typing import Any

from django.db import models

STATUSES = ("queued", "running", "paused", "stopped", "cancelled", "failed", "finished")
OVER = frozenset({"cancelled", "failed", "finished"})
CHECKS = ("", "twice", "swapped", "failing", "folds", "dry", "shrink")
REPLAYS = ("", "twice", "swapped", "failing")  # those that make entries


def nothing() -> dict[str, Any]:
    """Return an empty object."""
    return {}


def none() -> list[Any]:
    """Return an empty list."""
    return []


class Fork(models.Model):
    """A copy of a system from a position on, and what is to be different in it.

    edits    as `edits.plain` shows them, those that are off among them
    code     by service: {} as it is on disk, "recorded", {"module"}, {"git", "name"}, {"source"};
             or a copy outside, {"http"}, {"redis", "stream"}, {"tap", "stream"}
    options  missing (what a call without a recording does), stubs, drop_orphans, stop_when, speed
    """

    system = models.BigIntegerField()
    timeline = models.BigIntegerField(help_text="That of the first run; empty until then.")
    name = models.CharField(max_length=200)
    base = models.BigIntegerField()
    until = models.BigIntegerField()
    edits = models.JSONField(default=none)
    code = models.JSONField(default=nothing)
    options = models.JSONField(default=nothing)
    created_by = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    discarded = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["system", "-id"], name="sandbox_fork_of")]

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    """One run of a recipe, and the job that makes it.

    A worker holds a run while `lease` is ahead of the clock, and writes only while `fence` is the
    number it was given: one that was thought dead and is not does nothing.
    """

    fork = models.ForeignKey(Fork, on_delete=models.CASCADE, related_name="runs")
    number = models.IntegerField()
    timeline = models.BigIntegerField()
    check_of = models.CharField(max_length=16, blank=True)
    status = models.CharField(max_length=12, default="queued")
    edits = models.JSONField(default=none)
    code = models.JSONField(default=nothing)
    options = models.JSONField(default=nothing)
    total = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    want = models.CharField(max_length=8, default="run", help_text="run, pause or cancel")
    steps = models.IntegerField(default=0, help_text="Entries to go before it pauses; 0 for all.")
    lease = models.DateTimeField(null=True)
    fence = models.IntegerField(default=0)
    repeats = models.IntegerField(
        default=0, help_text="Events a copy outside may have been sent twice, at most."
    )
    reached = models.IntegerField(default=0, help_text="How often `stop_when` stopped it.")
    error = models.TextField(blank=True)
    wanted = models.JSONField(null=True, help_text="The call nothing answers.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    ran_ms = models.BigIntegerField(default=0)
    result = models.JSONField(null=True, help_text="The comparison without its lists.")
    comparison = models.BinaryField(null=True, help_text="The comparison, JSON under zlib.")
    kept_as = models.CharField(max_length=200, blank=True, help_text="Its name as a test.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["fork", "number"], name="sandbox_run_once")]
        indexes = [models.Index(fields=["status", "lease"], name="sandbox_run_waiting")]

    def __str__(self) -> str:
        return f"{self.fork_id}/{self.number}"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in OVER


class Chunk(models.Model):
    """A checkpoint: what handlers did since the last one, and what was written for it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="chunks")
    number = models.IntegerField()
    outcomes = models.BinaryField(help_text="Outcomes, JSON under zlib.")
    links = models.BinaryField(help_text="For each entry what it stands for; see links.py.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="sandbox_chunk_once")]
