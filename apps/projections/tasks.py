"""Snapshots made behind the head, so that nobody waits for the first look at a busy entity."""

from __future__ import annotations

import time

from celery import shared_task
from django.db import DatabaseError

from apps.eventlog.queries import facts, log, tallies
from apps.projections.commands import searches
from apps.projections.models import Follower
from apps.projections.queries.states import state_at

SPAN = 50_000  # positions looked at in one go
BUDGET_S = (
    2.0  # of every ten: a long log that was just imported leaves room for pages and other tasks
)
BUSY = 200  # events of a stream from which on it is worth a look


@shared_task  # type: ignore[untyped-decorator]
def search(number: int) -> None:
    """Work on a search until none of its parts is free. Ringing twice is harmless."""
    searches.work(number)


@shared_task  # type: ignore[untyped-decorator]
def keep_up(budget: float | None = BUDGET_S) -> int:
    """Fold the busy streams of every system up to its head; return how many were folded.

    Ringing twice is harmless. What is stopped half-way goes on where it was.

    budget  seconds after which no further stretch is begun; None folds all of it
    """
    deadline = float("inf") if budget is None else time.monotonic() + budget
    return sum(_follow(line.slug, deadline) for line in log.lines())


def _follow(slug: str, deadline: float) -> int:
    line = log.line(slug)
    folded = 0
    follower, _ = Follower.objects.get_or_create(timeline=line.timeline)
    while follower.position < line.head and time.monotonic() < deadline:
        upto = min(line.head, follower.position + SPAN)
        touched = tallies.touched(line, after=follower.position, upto=upto)
        busy = facts.grown(line, list(touched), upto=upto, least=BUSY)
        for name, _ in facts.names(busy).values():
            state_at(line, name, at=upto, marks=True)
            folded += 1
        follower.position = upto
        try:
            follower.save(update_fields=["position"])
        except DatabaseError:  # the next ring goes on from before
            break
    return folded
